#pragma once
// One pass of a plan with its inputs and outputs in place, to be run again and again.

#include <cstdint>
#include <memory>
#include <vector>

#include "annulus/attention/with_statistics.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/device/device_tensor.hpp"
#include "annulus/device/stream.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/measure/rank_run.hpp"
#include "annulus/plan/pass.hpp"
#include "annulus/plan/plan.hpp"
#include "annulus/ring/pass_tensors.hpp"
#include "annulus/ring/ring_attention.hpp"

namespace annulus::kernels {
class ClockSamples;
}

namespace annulus::measure {

/// The rows of one rank, standard normal, that all passes over the same shards may share. They lie
/// in memory of the device of the stream, on which those passes run.
struct TimedInputs {
  std::shared_ptr<device::Stream> stream;
  device::DeviceTensor q;
  device::DeviceTensor k;
  device::DeviceTensor v;
  device::DeviceTensor dout;

  [[nodiscard]] PassInputs views() const {
    return {.q = q.view(), .k = k.view(), .v = v.view(), .dout = dout.view()};
  }
};

/// What `rank` holds of the random inputs of `plan`.
[[nodiscard]] std::shared_ptr<const TimedInputs> timed_inputs(
    const Plan& plan, int rank, std::uint64_t seed, std::shared_ptr<device::Stream> stream);

/// Owns the outputs and shares the inputs; borrows communicator and kernel, which computes on the
/// device of the inputs. Nothing is copied to or from the host while a pass is timed but the tables
/// that the host makes for it.
class TimedPass {
 public:
  /// Each is the maximum over ranks. Traces are taken of all runs.
  struct Times {
    /// On a GPU, between two events on the stream around the pass: its work on the host is in it.
    double seconds = 0;
    double exposed_seconds = 0;
  };

  /// Collective: a backward pass has its forward pass run here. A backward pass has no statistics.
  TimedPass(const Plan& plan, Pass pass, Statistics statistics,
            std::shared_ptr<const TimedInputs> inputs, comm::Communicator& communicator,
            const kernels::Kernel& kernel, int threads);

  TimedPass(const TimedPass&) = delete;
  TimedPass& operator=(const TimedPass&) = delete;

  /// Collective. Runs the pass once, after a barrier, on an idle device. On a CPU the clock is
  /// sampled between tiles where `clock` is not null, which takes a microsecond each.
  Times run(kernels::ClockSamples* clock = nullptr);

  /// From now on runs add their traces to `traces`, which is borrowed; null: no more.
  void trace(std::vector<PassTrace>* traces) { wanted_ = traces; }

  [[nodiscard]] const Plan& plan() const { return attention_.plan(); }
  [[nodiscard]] Pass pass() const { return pass_; }
  /// What this rank did in the last run.
  [[nodiscard]] const RankRun& last() const { return last_; }
  /// Of all ranks, from the exact visible area.
  [[nodiscard]] double flops() const;

 private:
  Pass pass_;
  std::shared_ptr<const TimedInputs> inputs_;
  comm::Communicator& communicator_;
  RingAttention attention_;
  PassTensors tensors_;
  HeldShards held_;                // where every repetition of a backward pass starts
  std::vector<PassTrace> traces_;  // of the last run
  std::vector<PassTrace>* wanted_ = nullptr;
  RankRun last_;
};

}  // namespace annulus::measure
