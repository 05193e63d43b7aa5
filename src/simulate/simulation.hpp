#pragma once
// A pass of the engine on simulated ranks.

#include <vector>

#include "annulus/plan/plan.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "simulate/cost_kernel.hpp"
#include "simulate/platform.hpp"

namespace annulus::simulate {

/// Of one rank; seconds are simulated.
struct SimulatedRank {
  PassReport report;
  double compute_seconds = 0;  ///< of the pass, what the kernel took
};

/// Runs the engine with its MPI transport, as many ranks as the plan has, on the first nodes of the
/// platform, which has at least as many. Once in a process. Throws whatever a rank throws.
[[nodiscard]] std::vector<SimulatedRank> simulate(const Platform& platform, const Plan& plan,
                                                  Pass pass, const PassCosts& costs);

}  // namespace annulus::simulate
