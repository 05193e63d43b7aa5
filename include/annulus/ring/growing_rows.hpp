#pragma once
// Rows of keys or values that are appended to.

#include <cstddef>
#include <memory>

#include "annulus/base/tensor_view.hpp"

namespace annulus {

/// An owned tensor (rows, heads, dim) that grows by rows. The rows of a head lie end to end, so
/// that a pass over one head reads memory in order. Room grows by doubling.
class GrowingRows {
 public:
  GrowingRows() = default;
  GrowingRows(DataType type, Index heads, Index dim) : type_(type), heads_(heads), dim_(dim) {}

  [[nodiscard]] Index rows() const { return rows_; }
  /// A view of all rows, until the next one is appended.
  [[nodiscard]] ConstTensorView view() const;
  /// Makes room for `rows` rows in all.
  void reserve(Index rows);
  /// Appends rows first .. first + count - 1 of `from`, which has the same type, heads and dim.
  void append(ConstTensorView from, Index first, Index count);

 private:
  [[nodiscard]] std::size_t bytes_of(Index rows) const;

  DataType type_ = DataType::float32;
  Index heads_ = 0;
  Index dim_ = 0;
  Index rows_ = 0;
  Index room_ = 0;                     // rows
  std::unique_ptr<std::byte[]> data_;  // (heads, room, dim)
};

}  // namespace annulus
