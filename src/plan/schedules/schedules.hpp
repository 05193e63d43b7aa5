#pragma once
// The schedules, one file each: what a rank does in a forward pass, and in a backward pass.

#include <memory>
#include <vector>

#include "annulus/plan/program.hpp"
#include "plan/tables.hpp"

namespace annulus {

/// What one rank does in a forward pass: any step of it, whichever are asked for.
class RankSchedule {
 public:
  RankSchedule() = default;
  RankSchedule(const RankSchedule&) = delete;
  RankSchedule& operator=(const RankSchedule&) = delete;
  virtual ~RankSchedule() = default;

  /// The same on all ranks.
  [[nodiscard]] virtual int step_count() const = 0;
  [[nodiscard]] virtual Step step(int at) = 0;
  /// See Program::kept; `steps` are all of this.
  [[nodiscard]] virtual std::vector<Item> kept(const std::vector<Step>& /*steps*/) const {
    return {};
  }
  /// The backward pass that follows `forward`, which is all steps of this.
  [[nodiscard]] virtual Program backward(const Program& forward) const = 0;
};

namespace schedules {

/// What a rank does; borrows `tables`.
using MakeSchedule = std::unique_ptr<RankSchedule> (*)(const Plan::Tables& tables, int rank);

[[nodiscard]] std::unique_ptr<RankSchedule> ring(const Plan::Tables& tables, int rank);
[[nodiscard]] std::unique_ptr<RankSchedule> bidirectional(const Plan::Tables& tables, int rank);
[[nodiscard]] std::unique_ptr<RankSchedule> double_ring(const Plan::Tables& tables, int rank);
[[nodiscard]] std::unique_ptr<RankSchedule> tiles(const Plan::Tables& tables, int rank);

/// A schedule with all its sizes: those that were not given are chosen. Throws InputError where
/// sizes do not fit, with those that do.
using FitSchedule = Schedule (*)(Schedule schedule, const PlannedShards& shards,
                                 const Topology& topology);

[[nodiscard]] Schedule fit_double_ring(Schedule schedule, const PlannedShards& shards,
                                       const Topology& topology);
[[nodiscard]] Schedule fit_tiles(Schedule schedule, const PlannedShards& shards,
                                 const Topology& topology);

/// By the schedule of the tables.
[[nodiscard]] std::unique_ptr<RankSchedule> schedule_of(const Plan::Tables& tables, int rank);
/// `schedule` for these shards, with all its sizes; throws InputError where it does not fit.
[[nodiscard]] Schedule fitted(Schedule schedule, const PlannedShards& shards,
                              const Topology& topology);

/// What may be the best: every schedule that fits, with the sizes that are chosen by default, and
/// teams of all sizes up to the heads; none that is a ring by another name.
[[nodiscard]] std::vector<Schedule> candidates(const PlannedShards& shards,
                                               const Topology& topology, PeerMemory memory,
                                               bool merges_states);

}  // namespace schedules
}  // namespace annulus
