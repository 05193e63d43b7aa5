#pragma once
// How long a rank computes.

#include <span>

#include "annulus/plan/machine.hpp"
#include "annulus/plan/plan.hpp"

namespace annulus {

/// Of one call of a kernel's accumulate() on one core, of so many heads.
[[nodiscard]] double accumulate_seconds(const KernelCost& cost, std::span<const Block> blocks,
                                        Index heads, Index key_heads);
/// Of what comes before and after all calls, for so many query rows.
[[nodiscard]] double query_seconds(const KernelCost& cost, Index rows, Index heads);

/// What each rank of a node computes with: a core for each of its threads, or one GPU, as far as
/// the node has them for all of its ranks.
[[nodiscard]] double cores_of_rank(const Machine& machine, int threads, int ranks_of_node);

/// Of one pass of a plan, on a machine.
class StepSeconds {
 public:
  /// Borrows the plan. A rank computes with so many cores.
  StepSeconds(const Plan& plan, Pass pass, const Machine& machine, double cores);

  /// The computes of a step, and what it begins and finishes for queries of others.
  [[nodiscard]] double of(const Step& step) const;
  /// What a rank does for its own queries before and after all steps.
  [[nodiscard]] double of_queries(int rank) const;

 private:
  const Plan& plan_;
  KernelCost cost_;
  double cores_;
};

}  // namespace annulus
