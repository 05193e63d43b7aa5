#pragma once
// What `annulus attend` computes of an input file, and where it goes.

#include <string>
#include <vector>

#include "annulus/attention/problem.hpp"
#include "annulus/results/attention_input.hpp"
#include "annulus/results/attention_output.hpp"
#include "annulus/ring/pass_tensors.hpp"
#include "annulus/ring/ring_attention.hpp"

namespace annulus::run {

/// The problem of the arrays of an input, with what the file says nothing of left as it is by
/// default. Throws InputError that begins with `path` where it makes no sense, see validate().
[[nodiscard]] Problem problem_of(const std::string& path, const results::InputShape& shape);

/// What one rank computed.
struct AttentionRun {
  PassTensors tensors;
  PassReport forward{};   ///< the slowest rank's times and all ranks' bytes
  PassReport backward{};  ///< likewise; zeros without one
};

/// Collective. Reads this rank's rows and computes. Throws InputError, on every rank, where an
/// input is not finite, and where logits overflow the type: it names `path`, the query and the
/// head. What the passes did when is added to `traces`, which may be null.
[[nodiscard]] AttentionRun run_attention(const std::string& path,
                                         const results::AttentionInput& input, const Plan& plan,
                                         comm::Communicator& communicator,
                                         const kernels::Kernel& kernel, int threads,
                                         const WantedOutputs& wanted,
                                         std::vector<PassTrace>* traces = nullptr);

/// The arrays of the file that write_run fills.
[[nodiscard]] std::vector<results::OutputArray> output_arrays(const Plan& plan,
                                                              const WantedOutputs& wanted,
                                                              bool has_sink);

/// Collective. Writes all that was computed.
void write_run(results::AttentionOutput& output, const AttentionRun& run, const Plan& plan,
               int rank);

}  // namespace annulus::run
