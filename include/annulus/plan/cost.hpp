#pragma once
// What a plan costs: areas, FLOPs, bytes, memory.

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

/// What one rank does in one pass.
[[nodiscard]] RankCost cost_of(const Plan& plan, int rank, Pass pass = Pass::forward);
/// The same where the programs of the forward pass and of `pass` are there already.
[[nodiscard]] RankCost cost_of(const Plan& plan, int rank, Pass pass, const Program& forward,
                               const Program& program);

/// Bytes that the program sends.
[[nodiscard]] Index bytes_sent(const Plan& plan, const Program& program);

struct PlanCost {
  /// Ranks that were asked: all of them, or some from the first to the last where they are many.
  std::vector<int> asked;
  std::vector<RankCost> ranks;  ///< of each of these
  Index area = 0;               ///< visible pairs of the whole problem, per head
  double flops = 0;
  Index bytes_sent = 0;  ///< of all ranks; an estimate where not all were asked
  double balance = 1;    ///< mean over these of area / largest area

  [[nodiscard]] bool exact() const;  ///< whether all ranks were asked
};

/// The cost of one pass, from at most `most_asked` ranks.
[[nodiscard]] PlanCost cost_of(const Plan& plan, Pass pass = Pass::forward, int most_asked = 64);

}  // namespace annulus
