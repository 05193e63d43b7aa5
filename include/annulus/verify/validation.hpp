#pragma once
// Attention by all ranks, compared with the fp64 reference on one.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "annulus/attention/statistics.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/pass.hpp"
#include "annulus/plan/plan.hpp"
#include "annulus/ring/pass_trace.hpp"

namespace annulus::verify {

/// How far one output is from the reference. Every element has a bound of its own, see
/// kernels::attention_bounds and kernels::gradient_bounds; what is largest is so of all elements.
struct Deviation {
  std::string name{};
  double error = 0;     ///< the largest, absolute
  double bound = 0;     ///< the largest
  double largest = 0;   ///< exact element in magnitude, of those that are finite
  double of_bound = 0;  ///< the largest error in units of the bound of its element

  /// Whether all elements are within their bounds.
  [[nodiscard]] bool valid() const;
};

struct Validation {
  std::vector<Deviation> deviations;
  Index bytes_sent = 0;  ///< by all ranks, in all passes
  [[nodiscard]] bool valid() const;
};

/// What is run: a forward pass, a backward pass after it, either with statistics of the rows or
/// without, or the forward pass token by token over a cache, with statistics.
enum class Checked {
  forward,
  forward_without_statistics,
  backward,
  backward_without_statistics,
  decode
};

/// "forward", with statistics or without, "backward" or "decode".
[[nodiscard]] std::string_view name_of(Checked what);

/// Collective. Runs `plan` on random inputs and compares out and lse with the reference, and the
/// statistics, dq, dk, dv and dgain where there are any; the result is the same on all ranks. Rank
/// 0 holds the whole problem in fp64. What the passes did when is added to `traces`, which may be
/// null.
[[nodiscard]] Validation validate_plan(const Plan& plan, comm::Communicator& communicator,
                                       const kernels::Kernel& kernel, int threads, Checked what,
                                       std::uint64_t seed,
                                       std::vector<PassTrace>* traces = nullptr);

/// What is checked of a pass before it is timed.
[[nodiscard]] Checked checked_of(Pass pass, Statistics statistics);

/// Collective. Whether a short version of `problem` (documents cut to a few hundred rows), planned
/// with `options`, agrees with the reference on these ranks: nothing is timed that is wrong.
[[nodiscard]] bool validate_briefly(const Problem& problem, comm::Communicator& communicator,
                                    const PlanOptions& options, const kernels::Kernel& kernel,
                                    int threads, Checked what, std::uint64_t seed);

}  // namespace annulus::verify
