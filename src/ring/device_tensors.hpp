#pragma once
// Tensors of a caller, which may lie in memory of the host, where the kernels of a device reach
// them.

#include <memory>
#include <vector>

#include "annulus/attention/statistics.hpp"
#include "annulus/base/tensor.hpp"
#include "annulus/base/tensor_view.hpp"
#include "annulus/device/buffer.hpp"

namespace annulus::ring {

/// A tensor that kernels read: the caller's, or a copy on the device.
class DeviceInput {
 public:
  DeviceInput(const std::shared_ptr<device::Stream>& stream, ConstTensorView tensor);
  [[nodiscard]] ConstTensorView view() const { return view_; }

 private:
  device::Buffer copy_;
  ConstTensorView view_;
};

/// A tensor that kernels write, or an absent one: the caller's, or one on the device where that is
/// out of reach or has gaps, as sums on a GPU have not.
class DeviceOutput {
 public:
  DeviceOutput(const std::shared_ptr<device::Stream>& stream, TensorView tensor);
  [[nodiscard]] TensorView view() const { return view_; }
  /// Brings what was written to the caller's, where that is another; returns when it is there.
  void finish() const;

 private:
  std::shared_ptr<device::Stream> stream_;
  TensorView caller_;
  device::Buffer copy_;
  TensorView view_;
};

/// The statistics of a caller, likewise.
[[nodiscard]] std::vector<DeviceOutput> device_statistics(
    const std::shared_ptr<device::Stream>& stream, const StatisticsView& caller);

/// A tensor that the host reads: the caller's, or a copy of what is on the device.
class HostInput {
 public:
  HostInput(device::Stream& stream, ConstTensorView tensor);
  [[nodiscard]] ConstTensorView view() const { return view_; }

 private:
  Tensor copy_;
  ConstTensorView view_;
};

/// A tensor that the host writes, or an absent one: the caller's, or one of the host where that is
/// on the device.
class HostOutput {
 public:
  HostOutput(const std::shared_ptr<device::Stream>& stream, TensorView tensor);
  [[nodiscard]] TensorView view() const { return view_; }
  /// Brings what was written to the caller's, where that is another; returns when it is there.
  void finish() const;

 private:
  std::shared_ptr<device::Stream> stream_;
  TensorView caller_;
  Tensor copy_;
  TensorView view_;
};

}  // namespace annulus::ring
