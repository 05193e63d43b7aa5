#include "annulus/ring/growing_rows.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace annulus {

std::size_t GrowingRows::bytes_of(Index rows) const {
  return static_cast<std::size_t>(rows * dim_) * size_of(type_);
}

ConstTensorView GrowingRows::view() const {
  return {data_.get(), type_, rows_, heads_, dim_, dim_, room_ * dim_};
}

void GrowingRows::reserve(Index rows) {
  if (rows <= room_) return;
  // Not set to zero: memory that is not used yet is not touched.
  auto larger = std::make_unique_for_overwrite<std::byte[]>(bytes_of(rows * heads_));
  for (Index h = 0; h < heads_ && rows_ > 0; ++h) {
    std::memcpy(larger.get() + bytes_of(h * rows), data_.get() + bytes_of(h * room_),
                bytes_of(rows_));
  }
  data_ = std::move(larger);
  room_ = rows;
}

void GrowingRows::append(ConstTensorView from, Index first, Index count) {
  ensure(from.type == type_ && from.heads == heads_ && from.dim == dim_,
         "rows are appended to rows of their own shape");
  if (rows_ + count > room_) reserve(std::max(rows_ + count, 2 * room_));
  const auto* source = static_cast<const std::byte*>(from.data);
  for (Index h = 0; h < heads_; ++h) {
    std::byte* to = data_.get() + bytes_of(h * room_ + rows_);
    for (Index i = first; i < first + count; ++i, to += bytes_of(1)) {
      const Index at = i * from.row_stride + h * from.head_stride;
      std::memcpy(to, source + static_cast<std::size_t>(at) * size_of(type_), bytes_of(1));
    }
  }
  rows_ += count;
}

}  // namespace annulus
