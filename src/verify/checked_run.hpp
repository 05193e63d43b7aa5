#pragma once
// What the ranks make of random inputs, to be compared with the reference.

#include <cstdint>
#include <vector>

#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/plan.hpp"
#include "annulus/ring/pass_trace.hpp"
#include "verify/outputs.hpp"

namespace annulus::verify {

/// What some rows give, one after the other.
struct CheckedRun {
  std::vector<Index> rows{};      ///< queries, in the packed sequence
  std::vector<Index> key_rows{};  ///< likewise, of dk and dv
  Outputs outputs;
  Index bytes_sent = 0;  ///< by the rank
};

/// Collective. A forward pass of the plan, and a backward pass if `what` says so: the rank's own
/// rows. Inputs are of type T. `traces` may be null.
template <class T>
[[nodiscard]] CheckedRun run_passes(const Plan& plan, comm::Communicator& communicator,
                                    const kernels::Kernel& kernel, int threads, Checked what,
                                    std::uint64_t seed, std::vector<PassTrace>* traces);

/// Collective. The same forward pass over a cache: all but the last few tokens of every document as
/// two chunks, then those one by one. Every document has as many queries as keys, and no query
/// looks ahead.
template <class T>
[[nodiscard]] CheckedRun run_decode(const Plan& plan, comm::Communicator& communicator,
                                    const kernels::Kernel& kernel, int threads, std::uint64_t seed);

/// Collective. Everybody's rows, in the order of the packed sequence.
[[nodiscard]] Outputs gather(const Problem& problem, comm::Communicator& communicator,
                             const CheckedRun& own, Checked what);

}  // namespace annulus::verify
