#pragma once
// How large the tiles of each kernel are: host code, by element size and head dimension.
//
// A warp owns row_blocks * 16 rows, whose sums over everything that streams past stay in registers.
// The limits are 255 registers a thread, and the 99 KiB of shared memory that a thread block has on
// compute capabilities 8.6, 8.9 and 12.0 (163 on 8.0, 227 on 9.0 and 10.0). Per thread and with
// R = row_blocks, sums of d columns take R d / 2 registers and logits of c columns R c / 2. At
// the rates of capability 8.0, 1024 multiply-adds and 128 bytes of shared memory a clock, four
// warps of 16 rows would read shared memory all the time that their products take; of 32 rows, half
// of it.

#include "kernels/cuda/device/machine.hpp"

namespace annulus::kernels::gpu {

/// Elements of a head that kernels are compiled for; others are filled up with zeros.
inline constexpr int head_dims[] = {64, 96, 128, 256};

/// What a thread block of any supported GPU can have.
inline constexpr int most_shared_bytes = 99 * 1024;

struct TileShape {
  int warps = 4;
  int row_blocks = 1;  ///< blocks of 16 rows that each warp owns
  int columns = 64;    ///< streaming rows of one step
  int stages = 2;      ///< steps that shared memory has room for

  [[nodiscard]] constexpr int threads() const { return warps * warp_lanes; }
  [[nodiscard]] constexpr int warp_rows() const { return row_blocks * 16; }
  [[nodiscard]] constexpr int rows() const { return warps * warp_rows(); }

  /// Bytes of shared memory: `owned` tiles of rows and, for each stage, two of columns, with
  /// `numbers` fp32 numbers for each streaming row.
  [[nodiscard]] constexpr int shared_bytes(int row_bytes, int owned, int numbers = 0) const {
    return owned * rows() * row_bytes + stages * columns * (2 * row_bytes + 4 * numbers);
  }
};

/// Streaming rows that are summed in registers, in fp32, before their sums are added to those that
/// device memory keeps in more digits. That moves 16 bytes a sum: of 4096 rows of 16 bits and 128
/// owned rows a byte for 1000 FLOP, an eighth of what the streaming rows themselves move. Products
/// in fp32 take ten times as long, so panels may be shorter, and sums keep more digits.
[[nodiscard]] constexpr int panel_rows(int element_bytes) {
  return element_bytes == 4 ? 1024 : 4096;
}

/// The steps of a panel, for elements of type T.
template <class T>
[[nodiscard]] constexpr int panel_steps(const TileShape& shape) {
  return panel_rows(sizeof(T)) / shape.columns;
}

/// Queries own tiles: q; k and v stream, one after the other, so that a step has room once.
[[nodiscard]] constexpr TileShape forward_shape(int element_bytes, int dim) {
  if (element_bytes == 4) {
    if (dim <= 64) return {.warps = 4, .row_blocks = 2, .columns = 64, .stages = 1};
    if (dim <= 96) return {.warps = 4, .row_blocks = 2, .columns = 32, .stages = 1};
    if (dim <= 128) return {.warps = 4, .row_blocks = 1, .columns = 64, .stages = 1};
    return {.warps = 2, .row_blocks = 1, .columns = 32, .stages = 1};
  }
  if (dim <= 128) return {.warps = 4, .row_blocks = 2, .columns = 64, .stages = 1};
  return {.warps = 4, .row_blocks = 1, .columns = 64, .stages = 1};
}

/// The same for few queries, such as those of one token: one warp, where its lanes can copy a row
/// together, so that the other warps do not compute on zeros. Many such blocks share a processor.
[[nodiscard]] constexpr TileShape few_rows_shape(int element_bytes, int dim) {
  const int chunks = dim * element_bytes / 16;
  return {.warps = chunks > warp_lanes ? 2 : 1,
          .row_blocks = 1,
          .columns = chunks > 16 ? 16 : 32,
          .stages = 1};
}

/// Queries own tiles: q and dout; k and v stream.
[[nodiscard]] constexpr TileShape query_gradient_shape(int element_bytes, int dim) {
  if (element_bytes == 4) {
    if (dim <= 64) return {.warps = 4, .row_blocks = 1, .columns = 32};
    if (dim <= 128) return {.warps = 2, .row_blocks = 1, .columns = 32};
    return {.warps = 2, .row_blocks = 1, .columns = 8};
  }
  if (dim <= 128) return {.warps = 4, .row_blocks = 1, .columns = 64};
  return {.warps = 4, .row_blocks = 1, .columns = 16};
}

/// Numbers of a query in the backward pass: scale, both terms of lse, -mean.
inline constexpr int query_numbers = 4;

/// Keys own tiles: k and v; q and dout stream, with their numbers.
[[nodiscard]] constexpr TileShape key_gradient_shape(int element_bytes, int dim) {
  if (element_bytes == 4) {
    if (dim <= 64) return {.warps = 4, .row_blocks = 1, .columns = 32};
    if (dim <= 128) return {.warps = 2, .row_blocks = 1, .columns = 32};
    return {.warps = 2, .row_blocks = 1, .columns = 8};
  }
  if (dim <= 96) return {.warps = 4, .row_blocks = 1, .columns = 64};
  if (dim <= 128) return {.warps = 4, .row_blocks = 1, .columns = 32};
  return {.warps = 4, .row_blocks = 1, .columns = 16};
}

[[nodiscard]] constexpr int key_gradient_shared_bytes(int element_bytes, int dim) {
  return key_gradient_shape(element_bytes, dim).shared_bytes(dim * element_bytes, 2, query_numbers);
}

/// The same for the kernel of all gradients, of elements of 16 bits. Between owned rows and those
/// that stream lie the gradients of their logits, which all warps read.
[[nodiscard]] constexpr TileShape gradient_shape(int dim) {
  if (dim <= 64) return {.warps = 4, .row_blocks = 2, .columns = 32};
  if (dim <= 96) return {.warps = 4, .row_blocks = 1, .columns = 64};
  return {.warps = 8, .row_blocks = 1, .columns = 64};
}

/// Whether there is such a kernel.
[[nodiscard]] constexpr bool sums_all_gradients(int element_bytes, int dim) {
  return element_bytes == 2 && dim <= 128;
}

/// Its shared memory: that of a kernel over key tiles, the gradients of logits and a ticket.
[[nodiscard]] constexpr int gradient_shared_bytes(int dim) {
  const auto shape = gradient_shape(dim);
  return shape.shared_bytes(2 * dim, 2, query_numbers) + shape.rows() * shape.columns * 2 + 16;
}

}  // namespace annulus::kernels::gpu
