#pragma once
// One pass of a plan with its inputs and outputs in place, to be run again and again.

#include <cstdint>
#include <memory>

#include "annulus/attention/statistics.hpp"
#include "annulus/base/tensor.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/memory.hpp"
#include "annulus/plan/plan.hpp"
#include "annulus/ring/ring_attention.hpp"

namespace annulus::cli {

/// Whether a forward pass writes the statistics of its rows.
enum class Statistics { off, on };

/// The rows of one rank, standard normal, that all passes over the same shards may share.
struct TimedInputs {
  Tensor q;
  Tensor k;
  Tensor v;
  Tensor dout;
};

/// What `rank` holds of the random inputs of `plan`.
[[nodiscard]] std::shared_ptr<const TimedInputs> timed_inputs(const Plan& plan, int rank,
                                                              std::uint64_t seed);

/// Owns the outputs and shares the inputs; borrows communicator and kernel.
class TimedPass {
 public:
  /// Each is the maximum over ranks.
  struct Times {
    double seconds = 0;
    double exposed_seconds = 0;
  };

  /// Collective: a backward pass has its forward pass run here. A backward pass has no statistics.
  TimedPass(const Plan& plan, Pass pass, Statistics statistics,
            std::shared_ptr<const TimedInputs> inputs, comm::Communicator& communicator,
            const kernels::Kernel& kernel, int threads);

  /// Collective. Runs the pass once, after a barrier.
  Times run();

  [[nodiscard]] const Plan& plan() const { return attention_.plan(); }
  [[nodiscard]] Pass pass() const { return pass_; }
  /// Of this rank, in the last run.
  [[nodiscard]] Index bytes_sent() const { return bytes_sent_; }
  /// Of all ranks, from the exact visible area.
  [[nodiscard]] double flops() const;

 private:
  Pass pass_;
  std::shared_ptr<const TimedInputs> inputs_;
  comm::Communicator& communicator_;
  RingAttention attention_;
  Tensor out_;
  Tensor lse_;
  Tensor statistics_[6];
  StatisticsView statistics_view_;
  Tensor dq_;
  Tensor dk_;
  Tensor dv_;
  HeldShards held_;
  Index bytes_sent_ = 0;
};

}  // namespace annulus::cli
