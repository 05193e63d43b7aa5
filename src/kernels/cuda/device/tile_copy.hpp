#pragma once
// Rows of global memory to a tile in shared memory, without waiting for them.

#include <algorithm>

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/device/swizzle.hpp"

namespace annulus::kernels::gpu {

/// Starts the copy of `count` lines from `row` on to a tile of `rows`, by all threads of the block:
/// rows of one head, or of `shared` heads one after the other, those of a row side by side. The
/// rest of the tile becomes zeros: rows past the end, whose products must not be NaN even where
/// their weight is 0, and columns that the input does not have. Each thread copies one chunk of
/// every few rows; the loop stays a loop, for its addresses would fill the registers.
template <class T, int dim, int rows, int threads>
ANNULUS_DEVICE void copy_tile(SharedOffset tile, const InputRows& input, Index row, int count,
                              int head, int shared = 1) {
  using Layout = TileLayout<T, dim>;
  constexpr int rows_at_once = threads / Layout::chunks;
  static_assert(rows_at_once > 0);
  const int index = thread_index();
  if (threads % Layout::chunks != 0 && index >= rows_at_once * Layout::chunks) return;
  const int chunk = index % Layout::chunks;
  const int column = chunk * Layout::elements;
  const int bytes =
      std::clamp(input.dim - column, 0, int{Layout::elements}) * static_cast<int>(sizeof(T));
  const auto* first =
      static_cast<const T*>(input.data) + row * input.row_stride + head * input.head_stride;
  ANNULUS_NO_UNROLL
  for (int i = index / Layout::chunks; i < rows; i += rows_at_once) {
    // The address of a copy of nothing is still an address.
    const bool there = i < count && bytes > 0;
    const Index at = (i / shared) * input.row_stride + (i % shared) * input.head_stride;
    cp_async<16>(tile + Layout::at(i, chunk), there ? first + at + column : first,
                 there ? bytes : 0);
  }
}

/// Starts the copies of the rows of one step, of two inputs, to two tiles one behind the other.
template <class T, int dim, int rows, int threads, class Walk>
ANNULUS_DEVICE void copy_step(SharedOffset tiles, const InputRows& first, const InputRows& second,
                              const Walk& walk, int head) {
  constexpr SharedOffset tile = rows * dim * static_cast<int>(sizeof(T));
  copy_tile<T, dim, rows, threads>(tiles, first, walk.row(), walk.count(), head);
  copy_tile<T, dim, rows, threads>(tiles + tile, second, walk.row(), walk.count(), head);
}

/// Starts the copy of one number for each of `count` rows of one head from `row` on, out of a table
/// (rows, heads); the rest of `rows` become zeros. By `threads` threads, of which this is `thread`.
template <int rows, int threads>
ANNULUS_DEVICE void copy_numbers(SharedOffset to, const float* table, int heads, Index row,
                                 int count, int head, int thread) {
  for (int i = thread; i < rows; i += threads) {
    const float* from = table + (row + (i < count ? i : 0)) * heads + head;
    cp_async<4>(to + static_cast<SharedOffset>(4 * i), from, i < count ? 4 : 0);
  }
}

}  // namespace annulus::kernels::gpu
