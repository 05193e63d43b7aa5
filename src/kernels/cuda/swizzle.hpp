#pragma once
// Where the elements of a tile lie in shared memory.

#include "kernels/cuda/instructions.hpp"

namespace annulus::kernels::gpu {

/// Rows of `dim` elements, end to end, in chunks of 16 bytes. Shared memory serves 128 bytes at
/// once, 8 chunks from 8 different groups of banks. ldmatrix and the products in fp32 read the same
/// chunk of 8 neighbouring rows, which lie a multiple of 128 bytes apart, or of 64 where dim = 96
/// in 16 bits; so a chunk's place is its number xor the row, which sends the 8 to different groups.
template <class T, int dim>
struct TileLayout {
  static constexpr int elements = 16 / static_cast<int>(sizeof(T));  ///< of a chunk
  static constexpr int chunks = dim / elements;
  static constexpr int row_bytes = dim * static_cast<int>(sizeof(T));
  static_assert(dim % elements == 0 && row_bytes % 64 == 0);

  /// Bytes from the start of the tile to a chunk of a row.
  [[nodiscard]] ANNULUS_DEVICE static SharedOffset at(int row, int chunk) {
    const int turn = row_bytes % 128 == 0 ? row % 8 : row / 2 % 4;
    return static_cast<SharedOffset>(row * row_bytes + (chunk ^ turn) * 16);
  }

  /// Bytes from the start of the tile to a single element of a row.
  [[nodiscard]] ANNULUS_DEVICE static SharedOffset at_element(int row, int column) {
    return at(row, column / elements) +
           static_cast<SharedOffset>(column % elements * static_cast<int>(sizeof(T)));
  }
};

}  // namespace annulus::kernels::gpu
