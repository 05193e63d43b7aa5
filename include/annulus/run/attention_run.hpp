#pragma once
// What `annulus attend` computes of an input file, and where it goes.

#include <array>
#include <string>
#include <vector>

#include "annulus/base/tensor.hpp"
#include "annulus/results/attention_input.hpp"
#include "annulus/results/attention_output.hpp"
#include "annulus/ring/ring_attention.hpp"

namespace annulus::run {

/// What is asked for besides out and lse.
struct Wanted {
  bool statistics = false;
  bool backward = false;
};

/// What one rank computed, in the accumulator type of the plan.
struct AttentionRun {
  Wanted wanted{};
  Tensor out{};
  Tensor lse{};
  std::array<Tensor, row_statistics.size()> statistics{};
  Tensor dq{};
  Tensor dk{};
  Tensor dv{};
  std::vector<double> dgain{};
  std::vector<double> dsink{};  ///< empty where there are no sinks
  PassReport forward{};         ///< the slowest rank's times and all ranks' bytes
  PassReport backward{};        ///< likewise; zeros without one

  [[nodiscard]] StatisticsView statistics_view();
};

/// Collective. Reads this rank's rows and computes. Throws InputError, on every rank, where an
/// input is not finite, and where logits overflow the type: it names `path`, the query and the
/// head.
[[nodiscard]] AttentionRun run_attention(const std::string& path,
                                         const results::AttentionInput& input, const Plan& plan,
                                         comm::Communicator& communicator,
                                         const kernels::Kernel& kernel, int threads,
                                         const Wanted& wanted);

/// Collective. Writes all that was computed.
void write_run(results::AttentionOutput& output, const AttentionRun& run, const Plan& plan,
               int rank);

}  // namespace annulus::run
