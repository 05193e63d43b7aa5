#pragma once
// From dot products to logits: the scale of each query, and the mask.

#include <algorithm>
#include <limits>

#include "kernels/cuda/fragments.hpp"
#include "kernels/cuda/tile_walk.hpp"

namespace annulus::kernels::gpu {

inline constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

/// Rows of a block that row i of the tile's run sees, as block.visible(i) says, in 32 bits. Where
/// no ranks are interleaved the stride is 1, and there is nothing to divide.
[[nodiscard]] ANNULUS_DEVICE RowRange visible_rows(const Block& block, Index i) {
  Interval seen;
  if (block.keys.stride == 1) {
    const Index from = block.queries.position_of(i) - block.keys.position;
    seen = {std::max<Index>(from - block.mask.left(), 0),
            std::min(from + block.mask.right() + 1, block.keys.count)};
  } else {
    seen = block.visible(i);
  }
  return {static_cast<int>(std::min(seen.begin, block.keys.count)),
          static_cast<int>(std::max<Index>(seen.end, 0))};
}

/// Logits that the mask hides become -inf. `warp_row`: the warp's first row in the tile.
template <int row_blocks, int columns, class Walk>
ANNULUS_DEVICE void hide(Sums<row_blocks, columns>& logits, const Walk& walk, int warp_row) {
  const auto& visit = walk.visit();
  ANNULUS_UNROLL
  for (int r = 0; r < 2 * row_blocks; ++r) {
    const auto seen = visible_rows(visit.block, visit.first + warp_row + row_of_lane(r));
    const int begin = seen.begin - walk.begin();
    const int end = seen.end - walk.begin();
    ANNULUS_UNROLL
    for (int n = 0; n < columns / 8; ++n) {
      ANNULUS_UNROLL
      for (int side = 0; side < 2; ++side) {
        const int column = column_of_lane(n, side);
        if (column < begin || column >= end) logits.at(r, n, side) = minus_infinity;
      }
    }
  }
}

/// One number of a table (rows, heads) for each of the lane's rows; `otherwise` past the end.
template <int rows>
struct RowNumbers {
  float at[rows];

  ANNULUS_DEVICE RowNumbers(const float* table, const TileWork& work, int warp_row, int heads,
                            int head, float otherwise = 0) {
    ANNULUS_UNROLL
    for (int r = 0; r < rows; ++r) {
      const int row = warp_row + row_of_lane(r);
      at[r] =
          row < work.rows ? table[static_cast<Index>(work.row + row) * heads + head] : otherwise;
    }
  }
};

}  // namespace annulus::kernels::gpu
