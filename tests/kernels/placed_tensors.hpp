#pragma once
// Tensors of the host where the kernels of a device want them.

#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "annulus/device/buffer.hpp"
#include "annulus/device/tensor_copy.hpp"
#include "support/tensor.hpp"

namespace annulus::test {

/// Rows as kernels take them without a copy, with gaps between heads and rows and rows behind the
/// last that nobody may read: NaN. On a GPU all begin at multiples of 16 bytes, on the CPU
/// anywhere.
template <class T>
class PlacedRows {
 public:
  PlacedRows(const std::shared_ptr<device::Stream>& stream, const Tensor<T>& tensor) {
    const Index unit = stream->device().kind == DeviceKind::cpu ? 1 : 16 / sizeof(T);
    const Index head_stride = (ceil_div(tensor.dim, unit) + 3) * unit;
    const Index row_stride = tensor.heads * head_stride + 5 * unit;
    std::vector<T> values(static_cast<std::size_t>((tensor.rows + rows_behind) * row_stride),
                          static_cast<T>(std::numeric_limits<double>::quiet_NaN()));
    for (Index i = 0; i < tensor.rows; ++i) {
      for (Index h = 0; h < tensor.heads; ++h) {
        for (Index c = 0; c < tensor.dim; ++c) {
          values[static_cast<std::size_t>(i * row_stride + h * head_stride + c)] =
              tensor.at(i, h, c);
        }
      }
    }
    buffer_ = device::Buffer(stream, values.size() * sizeof(T));
    stream->upload(device::RowCopy::of_bytes(buffer_.data(), values.data(), buffer_.size()));
    view_ = {buffer_.data(), data_type_of<T>, tensor.rows, tensor.heads,
             tensor.dim,     row_stride,      head_stride};
  }
  [[nodiscard]] ConstTensorView view() const { return view_; }

 private:
  static constexpr Index rows_behind = 128;
  device::Buffer buffer_;
  ConstTensorView view_{};
};

/// A tensor on the device, dense, as sums and outputs are.
template <class T>
class PlacedNumbers {
 public:
  PlacedNumbers(std::shared_ptr<device::Stream> stream, const Tensor<T>& tensor)
      : stream_(std::move(stream)), buffer_(stream_, tensor.values.size() * sizeof(T)) {
    view_ = dense_view(reinterpret_cast<T*>(buffer_.data()), tensor.rows, tensor.heads, tensor.dim);
    device::upload(*stream_, view_, tensor.view());
  }
  [[nodiscard]] TensorView view() const { return view_; }
  void fetch(Tensor<T>& tensor) const { device::download(*stream_, tensor.view(), view_); }

 private:
  std::shared_ptr<device::Stream> stream_;
  device::Buffer buffer_;
  TensorView view_{};
};

}  // namespace annulus::test
