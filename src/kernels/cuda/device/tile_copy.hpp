#pragma once
// Rows of global memory to a tile in shared memory, without waiting for them.

#include <algorithm>
#include <bit>

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/device/swizzle.hpp"
#include "kernels/cuda/device/tile_walk.hpp"

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

/// The same for the rows of one step and one head, of inputs whose tiles lie end to end. Where all
/// of them are there, as mostly, a row is two additions and a copy.
template <class T, int dim, int rows, int threads, class... Inputs>
ANNULUS_DEVICE void copy_step(SharedOffset tile, const StepPlace& step, int head,
                              const Inputs&... inputs) {
  using Layout = TileLayout<T, dim>;
  // From 8 on, a chunk's place in its row is the same in all rows that a thread copies.
  constexpr int rows_at_once =
      static_cast<int>(std::bit_floor(static_cast<unsigned>(threads / Layout::chunks)));
  static_assert(rows % rows_at_once == 0);
  const auto copy_each = [&](auto copy) {
    SharedOffset to = tile;
    ((copy(to, inputs), to += rows * Layout::row_bytes), ...);
  };
  if (((inputs.dim != dim) || ...) || step.left < rows) {
    copy_each([&](SharedOffset to, const InputRows& input) {
      copy_tile<T, dim, rows, threads>(to, input, step.row, step.left, head);
    });
    return;
  }
  const int index = thread_index_anew();
  if (threads != rows_at_once * Layout::chunks && index >= rows_at_once * Layout::chunks) return;
  const int row = index / Layout::chunks;
  const int chunk = index % Layout::chunks;
  copy_each([&](SharedOffset to, const InputRows& input) {
    const T* from = static_cast<const T*>(input.data) + (Index{step.row} + row) * input.row_stride +
                    head * input.head_stride + chunk * Layout::elements;
    const Index stride = rows_at_once * input.row_stride;
    const SharedOffset first = to + Layout::at(row, chunk);
    ANNULUS_UNROLL
    for (int i = 0; i < rows; i += rows_at_once, from += stride) {
      cp_async<16>(rows_at_once % 8 == 0 ? first + static_cast<SharedOffset>(i * Layout::row_bytes)
                                         : to + Layout::at(row + i, chunk),
                   from, 16);
    }
  });
}

}  // namespace annulus::kernels::gpu
