#pragma once
// Sums of a warp's rows, to and from their table in device memory.

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/fragments.hpp"

namespace annulus::kernels::gpu {

/// Calls visit(number, element of the table) for all numbers of a lane that the table has:
/// (rows, heads, dim), of which the tile has work.rows rows of one head.
template <int row_blocks, int columns, class Visit>
ANNULUS_DEVICE void with_table(Sums<row_blocks, columns>& sums, float* table, const TileWork& work,
                               int warp_row, int heads, int head, int dim, Visit visit) {
  ANNULUS_UNROLL
  for (int r = 0; r < 2 * row_blocks; ++r) {
    const int row = warp_row + row_of_lane(r);
    if (row >= work.rows) continue;
    float* to = table + (static_cast<Index>(work.row + row) * heads + head) * dim;
    ANNULUS_UNROLL
    for (int n = 0; n < columns / 8; ++n) {
      ANNULUS_UNROLL
      for (int side = 0; side < 2; ++side) {
        const int column = column_of_lane(n, side);
        if (column < dim) visit(sums.at(r, n, side), to[column]);
      }
    }
  }
}

/// sums = table; what the table does not have stays as it is.
template <int row_blocks, int columns>
ANNULUS_DEVICE void load_sums(Sums<row_blocks, columns>& sums, float* table, const TileWork& work,
                              int warp_row, int heads, int head, int dim) {
  with_table(sums, table, work, warp_row, heads, head, dim,
             [](float& sum, const float& element) { sum = element; });
}

/// table = sums
template <int row_blocks, int columns>
ANNULUS_DEVICE void store_sums(Sums<row_blocks, columns>& sums, float* table, const TileWork& work,
                               int warp_row, int heads, int head, int dim) {
  with_table(sums, table, work, warp_row, heads, head, dim,
             [](const float& sum, float& element) { element = sum; });
}

/// table += sums
template <int row_blocks, int columns>
ANNULUS_DEVICE void add_sums(Sums<row_blocks, columns>& sums, float* table, const TileWork& work,
                             int warp_row, int heads, int head, int dim) {
  with_table(sums, table, work, warp_row, heads, head, dim,
             [](const float& sum, float& element) { element += sum; });
}

}  // namespace annulus::kernels::gpu
