#pragma once
// The softmax states of a forward pass in device memory.

#include "annulus/kernels/kernel.hpp"
#include "kernels/cuda/device_arrays.hpp"
#include "kernels/cuda/launcher.hpp"

namespace annulus::kernels::gpu {

/// Those of all rows and heads of some queries, from their start to the outputs. What kernels do to
/// them is enqueued on one stream.
class DeviceStates {
 public:
  /// Starts them: the identity, or the sinks where there are any. Borrows `launcher`. `options` say
  /// whether the states have what statistics are made of.
  DeviceStates(const Launcher& launcher, const StreamPointer& stream, const Queries& queries,
               const PassOptions& options);

  [[nodiscard]] DeviceState view() const;
  [[nodiscard]] int heads() const { return heads_; }
  [[nodiscard]] int value_dim() const { return value_dim_; }

  /// As those of ForwardPass.
  void write(TensorView state) const;
  void merge(ConstTensorView state, Index first_head);
  void finish(const ForwardOutputs& outputs) const;

 private:
  const Launcher& launcher_;
  StreamPointer stream_;
  int rows_;
  int heads_;
  int value_dim_;
  bool statistics_;
  DeviceArray<float> maximum_;
  DeviceArray<double> sum_;
  DeviceArray<double> moment_;  // with statistics, as the next two
  DeviceArray<double> squares_;
  DeviceArray<float> self_logit_;
  DeviceArray<double> values_;
};

}  // namespace annulus::kernels::gpu
