#pragma once
// A step as the warp that brings it writes it down for those that compute it: a walk of their own
// would take registers that sums need, and read device memory in every step.

#include "kernels/cuda/device/all_gradients.hpp"

namespace annulus::kernels::gpu {

/// 16 bytes of shared memory.
struct alignas(16) StepNote {
  int visit;  ///< its number in the list
  int begin;  ///< as of TileWalk, as the next one
  int count;
  int tile;  ///< rows of the tile that owns keys, and the two flags
};
inline constexpr int step_is_whole = 1;
inline constexpr int step_is_last = 2;  ///< of the tile
inline constexpr int step_tile_rows = 4;

/// `tile_rows`: that a tile has, if it has all of them.
template <class Walk>
[[nodiscard]] ANNULUS_DEVICE StepNote note_of(const Walk& walk, const TileWork& work,
                                              int tile_rows) {
  const bool whole = walk.whole() && work.rows == tile_rows;
  return {.visit = walk.visit_number(),
          .begin = walk.begin(),
          .count = walk.count(),
          .tile = work.rows * step_tile_rows + (whole ? step_is_whole : 0) +
                  (walk.is_last() ? step_is_last : 0)};
}

/// Whose turn it is to add to the sums of a step; 16 bytes, too.
struct alignas(16) TurnNote {
  int step = 0;   ///< among those of all heads; below 0 where there is none any more
  int turns = 0;  ///< additions that come before
  int nothing[2]{};
};

template <class Walk>
[[nodiscard]] ANNULUS_DEVICE TurnNote turn_of(const GradientArguments& a, const Walk& walk) {
  return {.step = step_of(a, walk), .turns = walk.visit().turns};
}

/// What a walk says of its step, as far as masks need it, read from the note when it is asked for.
/// Rows that the tile does not have see nothing.
class NotedStep {
 public:
  struct Visit {
    const TileVisit& visit;
    int tile_rows;

    [[nodiscard]] ANNULUS_DEVICE RowRange visible(int row) const {
      return row < tile_rows ? visit.visible(row) : RowRange{};
    }
  };

  ANNULUS_DEVICE NotedStep(const DeviceTileList& tiles, SharedOffset note)
      : visits_(tiles.visits), note_(note) {}

  [[nodiscard]] ANNULUS_DEVICE Visit visit() const {
    return {visits_[number(0)], number(3) / step_tile_rows};
  }
  [[nodiscard]] ANNULUS_DEVICE int begin() const { return number(1); }
  [[nodiscard]] ANNULUS_DEVICE int count() const { return number(2); }
  [[nodiscard]] ANNULUS_DEVICE bool whole() const { return (number(3) & step_is_whole) != 0; }
  [[nodiscard]] ANNULUS_DEVICE bool is_last() const { return (number(3) & step_is_last) != 0; }

 private:
  [[nodiscard]] ANNULUS_DEVICE int number(SharedOffset i) const {
    return load_shared<int>(note_ + 4 * i);
  }

  const TileVisit* visits_;  ///< of all tiles, which a kernel has for nothing
  SharedOffset note_;
};

}  // namespace annulus::kernels::gpu
