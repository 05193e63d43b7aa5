#pragma once
// The softmax states of a forward pass in device memory.

#include <span>

#include "annulus/kernels/kernel.hpp"
#include "kernels/cuda/device_arrays.hpp"
#include "kernels/cuda/launcher.hpp"

namespace annulus::kernels::gpu {

/// How many there are, and what they consist of.
struct StateShape {
  int rows = 0;
  int heads = 0;
  int value_dim = 0;
  bool statistics = false;  ///< whether they have what statistics are made of

  /// Those that a pass needs.
  [[nodiscard]] static StateShape of(const Queries& queries, const PassOptions& options);

  [[nodiscard]] Index count() const { return Index{rows} * heads; }
};

/// Those of all rows and heads of some queries, from their start to the outputs. What kernels do to
/// them is enqueued on one stream.
class DeviceStates {
 public:
  /// Memory for them, without statistics: a kernel starts them. Borrows `launcher`.
  DeviceStates(const Launcher& launcher, const StreamPointer& stream, const StateShape& shape);
  /// Starts them: the identity, or the sinks of the heads where there are any. Borrows `launcher`.
  DeviceStates(const Launcher& launcher, const StreamPointer& stream, const StateShape& shape,
               std::span<const double> sink);

  [[nodiscard]] DeviceState view() const;
  [[nodiscard]] const StateShape& shape() const { return shape_; }

  /// Merges those of parts of `count` tiles on the device, of the same heads and dimension.
  void merge(const DeviceStates& parts, const TileParts* tiles, int count);

  /// As those of ForwardPass.
  void write(TensorView state) const;
  void merge(ConstTensorView state, Index first_head);
  void finish(const ForwardOutputs& outputs) const;

 private:
  const Launcher& launcher_;
  StreamPointer stream_;
  StateShape shape_;
  DeviceArray<float> maximum_;
  DeviceArray<double> sum_;
  DeviceArray<double> moment_;  // with statistics, as the next two
  DeviceArray<double> squares_;
  DeviceArray<float> self_logit_;
  DeviceArray<double> values_;
};

}  // namespace annulus::kernels::gpu
