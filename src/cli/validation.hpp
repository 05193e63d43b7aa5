#pragma once
// Attention by all ranks, compared with the fp64 reference on one.

#include <cstdint>
#include <string>
#include <vector>

#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/plan.hpp"

namespace annulus::cli {

/// How far one output is from the reference, and how far it may be.
struct Deviation {
  std::string name;
  double error = 0;  ///< largest absolute error, in units of the bound where that varies by row
  double bound = 0;

  [[nodiscard]] bool valid() const { return error <= bound; }
};

struct Validation {
  std::vector<Deviation> deviations;
  [[nodiscard]] bool valid() const;
};

/// What is run: a forward pass, the same without statistics, a backward pass after it, or the
/// forward pass token by token over a cache.
enum class Checked { forward, forward_without_statistics, backward, decode };

/// Collective. Runs `plan` on random inputs and compares out and lse with the reference, and
/// entropy, dq, dk and dv where there are any; the result is the same on all ranks. Rank 0 holds
/// the whole problem in fp64.
[[nodiscard]] Validation validate_plan(const Plan& plan, comm::Communicator& communicator,
                                       const kernels::Kernel& kernel, int threads, Checked what,
                                       std::uint64_t seed);

}  // namespace annulus::cli
