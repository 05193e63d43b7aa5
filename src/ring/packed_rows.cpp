#include "ring/packed_rows.hpp"

#include "annulus/device/tensor_copy.hpp"

namespace annulus::ring {

std::size_t row_bytes(DataType type, Index rows, Index heads, Index dim) {
  return static_cast<std::size_t>(rows * heads * dim) * size_of(type);
}

void append_rows(std::vector<std::byte>& bytes, ConstTensorView view, Index first, Index count) {
  const std::size_t before = bytes.size();
  bytes.resize(before + row_bytes(view.type, count, view.heads, view.dim));
  const auto element = static_cast<Index>(size_of(view.type));
  view.data = static_cast<const std::byte*>(view.data) + first * view.row_stride * element;
  view.rows = count;
  device::copy(*device::cpu_stream(),
               packed_view<void>(bytes.data() + before, view.type, count, view.heads, view.dim),
               view);
}

}  // namespace annulus::ring
