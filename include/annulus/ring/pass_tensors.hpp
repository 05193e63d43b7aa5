#pragma once
// What the passes of one rank read and write.

#include <memory>
#include <span>
#include <vector>

#include "annulus/attention/statistics.hpp"
#include "annulus/attention/with_statistics.hpp"
#include "annulus/device/device_tensor.hpp"
#include "annulus/device/stream.hpp"
#include "annulus/plan/plan.hpp"
#include "annulus/ring/ring_attention.hpp"

namespace annulus {

/// What the passes of a rank read: as in RingAttention::forward and BackwardInputs. Borrowed.
struct PassInputs {
  ConstTensorView q;
  ConstTensorView k;
  ConstTensorView v;
  ConstTensorView dout{};          ///< of a backward pass
  std::span<const double> gain{};  ///< as in ForwardOptions, likewise below
  std::span<const double> sink{};
  std::span<const double> logit_scale{};
  kernels::Poll poll{};
};

/// What is computed besides out and lse.
struct WantedOutputs {
  Statistics statistics = Statistics::off;
  bool backward = false;    ///< dq, dk, dv
  bool parameters = false;  ///< with them, the gradients of gains and sinks
};

/// The outputs of the passes of one rank, which it owns, and what its backward pass takes over from
/// its forward pass. Tensors are dense, of the accumulator type, in memory of the device of a
/// stream.
class PassTensors {
 public:
  /// For `rank` of `plan`; zeros at first.
  PassTensors(const Plan& plan, int rank, const WantedOutputs& wanted,
              const std::shared_ptr<device::Stream>& stream = device::cpu_stream());

  /// Collective. A forward pass of `attention`, which executes the plan.
  PassReport forward(RingAttention& attention, const PassInputs& inputs);

  /// Collective. The backward pass of the last forward pass. It uses up what that one held.
  PassReport backward(RingAttention& attention, const PassInputs& inputs);

  /// Where the next backward pass starts; it fetches shards again where nothing is present.
  [[nodiscard]] HeldShards& held() { return held_; }

  [[nodiscard]] const WantedOutputs& wanted() const { return wanted_; }
  [[nodiscard]] TensorView out() const { return out_.view(); }  ///< (rows, H, d_v)
  [[nodiscard]] TensorView lse() const { return lse_.view(); }  ///< (rows, H, 1)
  /// (rows, H, 1) each; absent where they are not wanted.
  [[nodiscard]] const StatisticsView& statistics() const { return statistics_view_; }
  [[nodiscard]] TensorView dq() const { return dq_.view(); }              ///< (rows, H, d)
  [[nodiscard]] TensorView dk() const { return dk_.view(); }              ///< (keys, G, d)
  [[nodiscard]] TensorView dv() const { return dv_.view(); }              ///< (keys, G, d_v)
  [[nodiscard]] std::span<const double> dgain() const { return dgain_; }  ///< (H)
  [[nodiscard]] std::span<const double> dsink() const { return dsink_; }  ///< (H), or no sinks

 private:
  WantedOutputs wanted_;
  device::DeviceTensor out_;
  device::DeviceTensor lse_;
  std::vector<device::DeviceTensor> statistics_;
  StatisticsView statistics_view_;
  device::DeviceTensor dq_;
  device::DeviceTensor dk_;
  device::DeviceTensor dv_;
  std::vector<double> dgain_;
  std::vector<double> dsink_;
  HeldShards held_;
};

}  // namespace annulus
