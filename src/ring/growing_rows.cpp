#include "annulus/ring/growing_rows.hpp"

#include <algorithm>
#include <utility>

#include "annulus/base/error.hpp"
#include "annulus/device/tensor_copy.hpp"

namespace annulus {

TensorView GrowingRows::view_of(Index first, Index count) const {
  const auto offset = static_cast<std::size_t>(first * dim_) * size_of(type_);
  auto* const data = data_.empty() ? nullptr : data_.data() + offset;
  return {data, type_, count, heads_, dim_, dim_, room_ * dim_};
}

void GrowingRows::reserve(Index rows) {
  if (rows <= room_) return;
  GrowingRows larger(stream_, type_, heads_, dim_);
  // Not set to zero: memory that is not used yet is not touched.
  larger.data_ =
      device::Buffer(stream_, static_cast<std::size_t>(rows * heads_ * dim_) * size_of(type_));
  larger.room_ = rows;
  larger.rows_ = rows_;
  device::copy(*stream_, larger.view_of(0, rows_), view());
  *this = std::move(larger);
}

void GrowingRows::append(ConstTensorView from, Index first, Index count) {
  ensure(from.type == type_ && from.heads == heads_ && from.dim == dim_,
         "rows are appended to rows of their own shape");
  if (count == 0) return;
  if (rows_ + count > room_) reserve(std::max(rows_ + count, 2 * room_));
  from.data = static_cast<const std::byte*>(from.data) +
              static_cast<std::size_t>(first * from.row_stride) * size_of(type_);
  from.rows = count;
  const auto to = view_of(rows_, count);
  if (stream_->reaches(from.data)) {
    device::copy(*stream_, to, from);
  } else {
    device::upload(*stream_, to, from);
  }
  rows_ += count;
}

}  // namespace annulus
