#pragma once
// Rows of several tensors as one.

#include <memory>
#include <span>
#include <type_traits>

#include "annulus/base/tensor_view.hpp"
#include "annulus/device/device_tensor.hpp"
#include "annulus/device/stream.hpp"

namespace annulus::ring {

/// Rows of tensors of one type and shape of row, one after the other: a copy, or the only one
/// itself, which is borrowed.
class JoinedRows {
 public:
  JoinedRows() = default;
  JoinedRows(JoinedRows&&) = default;
  JoinedRows& operator=(JoinedRows&&) = default;
  JoinedRows(const std::shared_ptr<device::Stream>& stream, std::span<const ConstTensorView> parts);

  /// Absent where there are no parts.
  [[nodiscard]] ConstTensorView view() const { return view_; }

 private:
  device::DeviceTensor copy_;
  ConstTensorView view_{};
};

/// Rows first .. first + count - 1 of a tensor.
template <class Void>
[[nodiscard]] BasicTensorView<Void> rows_of(BasicTensorView<Void> view, Index first, Index count) {
  using Byte = std::conditional_t<std::is_const_v<Void>, const std::byte, std::byte>;
  view.data = static_cast<Byte*>(view.data) +
              first * view.row_stride * static_cast<Index>(size_of(view.type));
  view.rows = count;
  return view;
}

}  // namespace annulus::ring
