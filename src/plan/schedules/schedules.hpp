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
  /// See Program::kept.
  [[nodiscard]] virtual std::vector<Item> kept() = 0;
};

namespace schedules {

/// What a rank does; borrows `tables`.
using MakeSchedule = std::unique_ptr<RankSchedule> (*)(const Plan::Tables& tables, int rank);

[[nodiscard]] std::unique_ptr<RankSchedule> ring(const Plan::Tables& tables, int rank);
[[nodiscard]] std::unique_ptr<RankSchedule> bidirectional(const Plan::Tables& tables, int rank);

/// By the schedule of the tables.
[[nodiscard]] std::unique_ptr<RankSchedule> schedule_of(const Plan::Tables& tables, int rank);

/// The backward pass of a forward program in which keys travel: keys go the same way back, from
/// where the forward pass left them, and so do their gradients, one step later.
[[nodiscard]] Program reversed(const Program& forward);

}  // namespace schedules
}  // namespace annulus
