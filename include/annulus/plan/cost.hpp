#pragma once
// What a plan costs: exact areas, FLOPs and bytes, and an estimate of time.

#include <vector>

#include "annulus/plan/memory.hpp"
#include "annulus/plan/pass.hpp"
#include "annulus/plan/plan.hpp"

namespace annulus {

/// Floating point operations of a forward pass over `area` visible (query, key) pairs per head.
[[nodiscard]] double forward_flops(const Problem& problem, Index area);

/// A backward pass counts as 2.5 forward passes: five products where that has two.
inline constexpr double backward_to_forward_flops = 2.5;

struct RankCost {
  Index area = 0;    ///< visible pairs, per head
  double flops = 0;  ///< all heads
  Index bytes_sent = 0;
  Index messages_sent = 0;
  RankMemory memory;
};

struct PlanCost {
  std::vector<RankCost> ranks;
  Index area = 0;  ///< visible pairs of the whole problem, per head
  double flops = 0;
  Index bytes_sent = 0;
  double seconds = 0;  ///< sum over steps of the slowest rank's max(compute, transfer)
  double balance = 1;  ///< mean over ranks of area / largest area
};

/// The cost of one pass. Time is that of a nominal machine, good for comparing plans and nothing
/// else.
[[nodiscard]] PlanCost cost_of(const Plan& plan, Pass pass = Pass::forward);

}  // namespace annulus
