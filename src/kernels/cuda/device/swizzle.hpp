#pragma once
// Where the elements of a tile lie in shared memory.

#include "kernels/cuda/device/instructions.hpp"

namespace annulus::kernels::gpu {

/// Rows of `dim` elements, end to end, in chunks of 16 bytes. Shared memory serves 128 bytes at
/// once, 8 chunks from 8 different groups of banks. ldmatrix and the products in fp32 read the same
/// chunk of 8 neighbouring rows, which lie a multiple of 128 bytes apart, or of 64 where dim = 96
/// in 16 bits; so within spans of 8 (or 4) chunks, a chunk's place is its number xor its row.
template <class T, int dim>
struct TileLayout {
  static constexpr int elements = 16 / static_cast<int>(sizeof(T));  ///< of a chunk
  static constexpr int chunks = dim / elements;
  static constexpr int row_bytes = dim * static_cast<int>(sizeof(T));
  static constexpr int span = row_bytes % 128 == 0 ? 8 : 4;
  static_assert(dim % elements == 0 && row_bytes % 64 == 0);

  /// What the chunks of a row are xored with.
  [[nodiscard]] ANNULUS_DEVICE static int turn_of(int row) {
    return span == 8 ? row % 8 : row / 2 % 4;
  }

  /// Bytes from the start of the tile to a chunk of a row.
  [[nodiscard]] ANNULUS_DEVICE static SharedOffset at(int row, int chunk) {
    return static_cast<SharedOffset>(row * row_bytes + (chunk ^ turn_of(row)) * 16);
  }
};

/// The chunks that a lane reads: of one row, and of rows a multiple of 8 further on, which turn
/// alike. Tiles start at multiples of 128 bytes, so the bits that are xored lie in the address as
/// they are; rows and chunks known to the compiler become immediate offsets, and a lane keeps one
/// address.
template <class T, int dim>
class LaneChunks {
 public:
  /// `tile`: where it starts. `first`: added to all chunks, none of whose bits it has.
  ANNULUS_DEVICE LaneChunks(SharedOffset tile, int row, int first = 0)
      : base_(tile + Layout::at(row, first)) {}

  [[nodiscard]] ANNULUS_DEVICE SharedOffset at(int rows_further, int chunk) const {
    constexpr int span = Layout::span;
    return (base_ ^ static_cast<SharedOffset>(chunk % span * 16)) +
           static_cast<SharedOffset>(rows_further * Layout::row_bytes + chunk / span * span * 16);
  }

 private:
  using Layout = TileLayout<T, dim>;
  SharedOffset base_;
};

}  // namespace annulus::kernels::gpu
