#pragma once
// Dense copies of rows, as they travel and as they are kept.

#include <cstddef>
#include <vector>

#include "annulus/base/tensor_view.hpp"

namespace annulus::ring {

/// Bytes of `rows` rows of (heads, dim).
[[nodiscard]] std::size_t row_bytes(DataType type, Index rows, Index heads, Index dim);

/// A view of dense rows (rows, heads, dim) at `data`.
template <class Void>
[[nodiscard]] BasicTensorView<Void> packed_view(Void* data, DataType type, Index rows, Index heads,
                                                Index dim) {
  return {data, type, rows, heads, dim, heads * dim, dim};
}

/// Appends rows first .. first + count - 1 of `view` to `bytes`.
void append_rows(std::vector<std::byte>& bytes, ConstTensorView view, Index first, Index count);

}  // namespace annulus::ring
