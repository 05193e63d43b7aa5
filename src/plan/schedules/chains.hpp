#pragma once
// Keys that go from rank to rank around a circle.

#include <array>
#include <utility>
#include <vector>

#include "annulus/plan/block.hpp"
#include "plan/schedules/schedules.hpp"

namespace annulus::schedules {

/// Keys that a rank holds in a step: those of the owner so many nodes behind (Way::forward: they
/// have come forward) or ahead.
struct Station {
  Way way = Way::forward;
  int distance = 0;  ///< in nodes; 0: its own

  friend bool operator==(const Station&, const Station&) = default;
};

/// Those of one step: one each way at most.
class Stations {
 public:
  Stations() = default;
  Stations(Station only) { add(only); }

  void add(Station station) { all_[count_++] = station; }
  [[nodiscard]] const Station* begin() const { return all_.data(); }
  [[nodiscard]] const Station* end() const { return begin() + count_; }
  [[nodiscard]] std::size_t size() const { return count_; }

 private:
  std::array<Station, 2> all_{};
  std::size_t count_ = 0;
};

/// A schedule in which keys make one hop after the other, each from the rank that holds them in one
/// step to its neighbour, which computes with them in a later one. What stations a rank has in
/// which step is up to the schedule; in step 0 it has its own.
class Chains : public RankSchedule {
 public:
  Chains(const Plan::Tables& tables, int rank);

  [[nodiscard]] Step step(int at) final;
  [[nodiscard]] std::vector<Item> kept(const std::vector<Step>& steps) const final;
  [[nodiscard]] Program backward(const Program& forward) const final;

 protected:
  [[nodiscard]] const Plan::Tables& tables() const { return tables_; }
  /// What all ranks hold in a step, from 0 to step_count() - 1; the hop to a station with distance
  /// d > 1 starts from the one with d - 1, in the step before it.
  [[nodiscard]] virtual Stations stations(int step) const = 0;

 private:
  /// What is known of the way of an owner's keys.
  struct Known {
    int owner = -1;
    Journey journey;
    std::array<std::pair<int, Item>, 4> items{};  // with the number of the hop, by this modulo 4
  };

  [[nodiscard]] int hop(int rank, Way way, int hops) const;
  [[nodiscard]] Known& known(int owner, Way way);
  [[nodiscard]] const Item& item(int owner, Way way, int hops);
  [[nodiscard]] const Item& held_at(const Station& station);
  [[nodiscard]] bool comes_back(int sender, const Station& to);
  void add_computes(Step& step, const Station& at);

  const Plan::Tables& tables_;
  const Circle& circle_;
  Needs needs_;
  int rank_;
  Shard queries_;
  ItemList own_queries_;
  std::vector<Known> known_;  // of owners on four nodes in a row, each way
};

}  // namespace annulus::schedules
