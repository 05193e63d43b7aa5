#pragma once
// Tensors where the kernels of a device read and write them without copies.

#include <memory>

#include "annulus/base/tensor_view.hpp"
#include "annulus/device/buffer.hpp"
#include "annulus/device/tensor_copy.hpp"

namespace annulus::device {

/// An owned dense tensor (rows, heads, dim) in memory of the device of a stream, which it keeps
/// alive. Zeros at first.
class DeviceTensor {
 public:
  DeviceTensor() = default;
  DeviceTensor(const std::shared_ptr<Stream>& stream, DataType type, Index rows, Index heads,
               Index dim)
      : buffer_(stream, static_cast<std::size_t>(rows * heads * dim) * size_of(type)),
        shape_{nullptr, type, rows, heads, dim, heads * dim, dim} {
    if (!buffer_.empty()) stream->clear(buffer_.data(), buffer_.size());
  }

  /// Its elements are not part of it: a constant tensor may be written.
  [[nodiscard]] TensorView view() const {
    auto view = shape_;
    view.data = buffer_.data();
    return view;
  }

 private:
  Buffer buffer_;
  TensorView shape_{};  // without data, which a copy has elsewhere
};

}  // namespace annulus::device
