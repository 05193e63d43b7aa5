#include "ring/packed_rows.hpp"

#include <cstring>

namespace annulus::ring {

std::size_t row_bytes(DataType type, Index rows, Index heads, Index dim) {
  return static_cast<std::size_t>(rows * heads * dim) * size_of(type);
}

std::byte* pack_rows(std::byte* to, ConstTensorView view, Index first, Index count) {
  const std::size_t element = size_of(view.type);
  const std::size_t bytes = static_cast<std::size_t>(view.dim) * element;
  const auto* from = static_cast<const std::byte*>(view.data);
  for (Index i = first; i < first + count; ++i) {
    for (Index h = 0; h < view.heads; ++h, to += bytes) {
      const Index offset = i * view.row_stride + h * view.head_stride;
      std::memcpy(to, from + static_cast<std::size_t>(offset) * element, bytes);
    }
  }
  return to;
}

void append_rows(std::vector<std::byte>& bytes, ConstTensorView view, Index first, Index count) {
  const std::size_t before = bytes.size();
  bytes.resize(before + row_bytes(view.type, count, view.heads, view.dim));
  pack_rows(bytes.data() + before, view, first, count);
}

}  // namespace annulus::ring
