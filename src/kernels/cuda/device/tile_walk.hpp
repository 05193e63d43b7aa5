#pragma once
// The order in which tiles stream past, and the copies that run ahead of it.

#include <algorithm>

#include "kernels/cuda/device/instructions.hpp"
#include "kernels/cuda/tile_list.hpp"

namespace annulus::kernels::gpu {

/// Where the rows of a step are.
struct StepPlace {
  int row;       ///< local row of the first
  int left;      ///< rows from there to the end of its visit, which a step has some or all of
  int head = 0;  ///< in a walk over heads
};

/// Steps of `columns` streaming rows, through all visits of a tile. Visits are never empty.
/// keeps_end: in a register, so that no step waits for it; it is asked for at the end of each,
/// where fences have made the first-level cache forget it.
template <int columns, bool keeps_end = false>
class TileWalk {
 public:
  ANNULUS_DEVICE TileWalk(const DeviceTileList& tiles, const TileWork& work)
      : visits_(tiles.visits), first_(work.first_visit), end_(first_ + work.visits) {
    restart();
  }

  [[nodiscard]] ANNULUS_DEVICE bool done() const { return index_ == end_; }
  [[nodiscard]] ANNULUS_DEVICE int visit_number() const { return index_; }
  [[nodiscard]] ANNULUS_DEVICE const TileVisit& visit() const { return visits_[index_]; }

  /// First streaming row of this step, counted in its run, and how many there are.
  [[nodiscard]] ANNULUS_DEVICE int begin() const { return begin_; }
  [[nodiscard]] ANNULUS_DEVICE int count() const { return std::min(columns, seen_end() - begin_); }

  /// The same first row, as a local row.
  [[nodiscard]] ANNULUS_DEVICE int row() const { return visit().row + begin_; }

  [[nodiscard]] ANNULUS_DEVICE StepPlace place() const { return {row(), seen_end() - begin_}; }

  /// Whether all rows of the tile see all columns of this step.
  [[nodiscard]] ANNULUS_DEVICE bool whole() const {
    return visit().whole.begin <= begin_ && begin_ + columns <= visit().whole.end;
  }

  /// Whether one of these columns may stand where a row of the tile stands.
  [[nodiscard]] ANNULUS_DEVICE bool meets_self() const {
    return visit().self.begin < begin_ + columns && begin_ < visit().self.end;
  }

  /// Whether no other step comes after this one.
  [[nodiscard]] ANNULUS_DEVICE bool is_last() const {
    return index_ + 1 == end_ && begin_ + columns >= seen_end();
  }

  ANNULUS_DEVICE void advance() {
    begin_ += columns;
    if (begin_ < seen_end()) return;
    ++index_;
    if (!done()) start_visit();
  }

 protected:
  ANNULUS_DEVICE void restart() {
    index_ = first_;
    start_visit();
  }

 private:
  [[nodiscard]] ANNULUS_DEVICE int seen_end() const {
    return keeps_end ? seen_end_ : visit().seen.end;
  }
  ANNULUS_DEVICE void start_visit() {
    begin_ = visit().seen.begin;
    seen_end_ = visit().seen.end;
  }
  const TileVisit* visits_;  ///< of all tiles, which a kernel has for nothing
  int first_;
  int end_;
  int index_ = 0;
  int begin_ = 0;
  int seen_end_ = 0;
};

/// The same walk once for each of a few heads.
template <int columns, bool keeps_end = false>
class GroupWalk : public TileWalk<columns, keeps_end> {
 public:
  ANNULUS_DEVICE GroupWalk(const DeviceTileList& tiles, const TileWork& work, int first_head,
                           int heads)
      : TileWalk<columns, keeps_end>(tiles, work), head_(first_head), end_(first_head + heads) {}

  [[nodiscard]] ANNULUS_DEVICE bool done() const { return head_ == end_; }
  [[nodiscard]] ANNULUS_DEVICE int head() const { return head_; }
  [[nodiscard]] ANNULUS_DEVICE StepPlace place() const {
    auto place = TileWalk<columns, keeps_end>::place();
    place.head = head_;
    return place;
  }

  [[nodiscard]] ANNULUS_DEVICE bool is_last() const {
    return head_ + 1 == end_ && TileWalk<columns, keeps_end>::is_last();
  }

  ANNULUS_DEVICE void advance() {
    TileWalk<columns, keeps_end>::advance();
    if (!TileWalk<columns, keeps_end>::done()) return;
    this->restart();
    ++head_;
  }

 private:
  int head_;
  int end_;
};

/// Calls end_panel() after every `panel` steps and after the last one.
template <int panel, class Walk, class EndPanel>
ANNULUS_DEVICE void end_step(unsigned& steps, const Walk& walk, EndPanel end_panel) {
  if (++steps < panel && !walk.done()) return;
  end_panel();
  steps = 0;
}

/// Calls compute(walk, stage) for every step, in order, and end_panel() after every `panel` of them
/// and after the last; load(place, stage) starts the copies of a step to a buffer and is called
/// stages - 1 steps ahead. Panels are whole rounds of stages, so that one number counts both.
/// Copies that were started before belong to the first step. One barrier a step is enough: it says
/// that the copies of this step are there for all threads, and that all threads are done with the
/// step before, whose buffer is filled next.
template <int stages, int panel, class Walk, class Load, class Compute, class EndPanel>
ANNULUS_DEVICE void stream(Walk walk, Load load, Compute compute, EndPanel end_panel) {
  Walk ahead = walk;
  // Calls meet() in between: what device memory says of the next step is then here already.
  const auto load_next = [&](int stage, auto meet) {
    const bool more = !ahead.done();
    StepPlace next{};
    if (more) {
      next = ahead.place();
      ahead.advance();
    }
    meet();
    if (more) load(next, stage);
    // A group without copies keeps the count: step i is always the i-th group.
    cp_async_commit();
  };
  ANNULUS_UNROLL
  for (int stage = 0; stage < stages - 1; ++stage) load_next(stage, [] {});
  static_assert(panel % stages == 0);
  const auto stage_of = [](unsigned step) { return static_cast<int>(step % stages); };
  unsigned steps = 0;  // of this panel
  while (!walk.done()) {
    load_next(stage_of(steps + stages - 1), [] {
      cp_async_wait<stages - 2>();
      sync_threads();
    });
    compute(walk, stage_of(steps));
    walk.advance();
    end_step<panel>(steps, walk, end_panel);
  }
}

/// The same for steps of two tiles that are needed one after the other, with one buffer for each:
/// load_second(place) brings the second while multiply(walk) uses the first, and the first of the
/// next step comes while add(walk) uses the second. A barrier before each says that its tile is
/// there for all threads, and that all are done with the other one, whose buffer is filled next.
template <int panel, class Walk, class LoadFirst, class LoadSecond, class Multiply, class Add,
          class EndPanel>
ANNULUS_DEVICE void stream_apart(Walk walk, LoadFirst load_first, LoadSecond load_second,
                                 Multiply multiply, Add add, EndPanel end_panel) {
  const auto load = [](const StepPlace& step, const auto& start) {
    start(step);
    cp_async_commit();
  };
  const auto wait = [] {
    cp_async_wait<0>();
    sync_threads();
  };
  unsigned steps = 0;  // of this panel
  load(walk.place(), load_first);
  while (!walk.done()) {
    const auto here = walk.place();
    wait();
    load(here, load_second);
    multiply(walk);
    Walk next = walk;
    next.advance();
    wait();
    if (!next.done()) load(next.place(), load_first);
    add(walk);
    walk = next;
    end_step<panel>(steps, walk, end_panel);
  }
}

}  // namespace annulus::kernels::gpu
