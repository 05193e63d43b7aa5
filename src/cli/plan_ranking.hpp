#pragma once
// What is predicted of every schedule.

#include "annulus/plan/planner.hpp"
#include "cli/table.hpp"

namespace annulus::cli {

/// The schedules for a problem on a machine, the quickest first.
class PlanRanking {
 public:
  /// `options` has a machine. Throws InputError as rank_plans does.
  PlanRanking(const Problem& problem, const Topology& topology, PlanOptions options);

  [[nodiscard]] std::string text() const;
  [[nodiscard]] Json json() const;

 private:
  PlanOptions options_;
  int ranks_;
  Table table_;
  int per_node_ = 1;            // ranks, at most
  bool sends_nothing_ = false;  // the first one
  Index hidden_from_ = 0;       // 0: nowhere; -1: not asked
};

}  // namespace annulus::cli
