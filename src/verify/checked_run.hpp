#pragma once
// What the ranks make of random inputs, to be compared with the reference.

#include <array>
#include <cstdint>
#include <vector>

#include "annulus/attention/statistics.hpp"
#include "annulus/base/tensor.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/plan.hpp"
#include "annulus/verify/validation.hpp"

namespace annulus::verify {

/// What some rows give, one after the other, in fp64; the entropy only with statistics, the
/// gradients only with a backward pass.
struct CheckedRun {
  std::vector<Index> rows{};      ///< queries, in the packed sequence
  std::vector<Index> key_rows{};  ///< likewise, of dk and dv
  std::vector<double> out{};
  std::vector<double> lse{};
  std::vector<double> entropy{};
  std::vector<double> dq{};
  std::vector<double> dk{};
  std::vector<double> dv{};
};

/// Statistics of rows of which only the entropy, the first of them, is looked at.
[[nodiscard]] inline std::array<Tensor, row_statistics.size()> make_statistics(DataType type,
                                                                               Index rows,
                                                                               Index heads) {
  std::array<Tensor, row_statistics.size()> all;
  for (auto& statistic : all) statistic = {type, rows, heads, 1};
  return all;
}

/// Collective. A forward pass of the plan, and a backward pass if `what` says so: the rank's own
/// rows. Inputs are of type T.
template <class T>
[[nodiscard]] CheckedRun run_passes(const Plan& plan, comm::Communicator& communicator,
                                    const kernels::Kernel& kernel, int threads, Checked what,
                                    std::uint64_t seed);

/// Collective. The same forward pass over a cache: all but the last few tokens of every document as
/// two chunks, then those one by one. Every document has as many queries as keys, and no query
/// looks ahead.
template <class T>
[[nodiscard]] CheckedRun run_decode(const Plan& plan, comm::Communicator& communicator,
                                    const kernels::Kernel& kernel, int threads, std::uint64_t seed);

/// Collective. Everybody's rows, in the order of the packed sequence.
[[nodiscard]] CheckedRun gather(const Problem& problem, comm::Communicator& communicator,
                                const CheckedRun& own);

}  // namespace annulus::verify
