#pragma once
// Rows of keys or values that are appended to.

#include <cstddef>
#include <memory>

#include "annulus/base/tensor_view.hpp"
#include "annulus/device/buffer.hpp"

namespace annulus {

/// An owned tensor (rows, heads, dim) that grows by rows, in memory of the device of a stream. The
/// rows of a head lie end to end, so that a pass over one head reads memory in order. Room grows by
/// doubling.
class GrowingRows {
 public:
  GrowingRows() = default;
  GrowingRows(std::shared_ptr<device::Stream> stream, DataType type, Index heads, Index dim)
      : stream_(std::move(stream)), type_(type), heads_(heads), dim_(dim) {}

  [[nodiscard]] Index rows() const { return rows_; }
  /// A view of all rows, for work of the stream, until the next one is appended.
  [[nodiscard]] ConstTensorView view() const { return view_of(0, rows_); }
  /// Makes room for `rows` rows in all.
  void reserve(Index rows);
  /// Appends rows first .. first + count - 1 of `from`, which has the same type, heads and dim and
  /// lies in memory of the device or of the host. On a GPU the copy is enqueued; memory of the host
  /// may change on return.
  void append(ConstTensorView from, Index first, Index count);

 private:
  [[nodiscard]] TensorView view_of(Index first, Index count) const;

  std::shared_ptr<device::Stream> stream_;
  DataType type_ = DataType::float32;
  Index heads_ = 0;
  Index dim_ = 0;
  Index rows_ = 0;
  Index room_ = 0;       // rows
  device::Buffer data_;  // (heads, room, dim)
};

}  // namespace annulus
