#pragma once
// The rows of a tile that a warp owns, and what tables in device memory hold of them.

#include <limits>

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/device/fragments.hpp"

namespace annulus::kernels::gpu {

inline constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

/// Rows of this warp for the head of this thread block. r: one of the rows that a lane holds a part
/// of.
struct OwnRows {
  TileWork work;
  int first = 0;  ///< the warp's first row in the tile
  int heads = 1;  ///< of the tables
  int head = 0;

  /// Those of the tile of this thread block, of which every warp owns `warp_rows`.
  [[nodiscard]] ANNULUS_DEVICE static OwnRows of_block(const DeviceTileList& tiles, int warp_rows,
                                                       int heads) {
    return {.work = tiles.work[block_x()],
            .first = warp_index() * warp_rows,
            .heads = heads,
            .head = block_y()};
  }

  /// The row, counted in the tile, and whether the tile has it.
  [[nodiscard]] ANNULUS_DEVICE int row(int r) const { return first + row_of_lane(r); }
  [[nodiscard]] ANNULUS_DEVICE bool has(int r) const { return row(r) < work.rows; }

  /// Its place in a table (rows, heads).
  [[nodiscard]] ANNULUS_DEVICE Index at(int r) const {
    return static_cast<Index>(work.row + row(r)) * heads + head;
  }
};

/// One number of a table (rows, heads) for each of a lane's rows; 0 past the end.
template <int rows>
struct RowNumbers {
  float at[rows];

  ANNULUS_DEVICE RowNumbers(const float* table, const OwnRows& own) {
    ANNULUS_UNROLL
    for (int r = 0; r < rows; ++r) at[r] = own.has(r) ? table[own.at(r)] : 0.0F;
  }
};

/// Calls visit(number, element of the table) for all numbers of a lane that a table (rows, heads,
/// dim) has.
template <int row_blocks, int columns, class Visit>
ANNULUS_DEVICE void with_table(Sums<row_blocks, columns>& sums, float* table, const OwnRows& own,
                               int dim, Visit visit) {
  // Written so that columns are immediate offsets, whatever the lane.
  const int first = column_of_lane(0, 0);
  const int columns_left = dim - first;
  ANNULUS_UNROLL
  for (int r = 0; r < 2 * row_blocks; ++r) {
    if (!own.has(r)) continue;
    float* row = table + own.at(r) * dim + first;
    ANNULUS_UNROLL
    for (int n = 0; n < columns / 8; ++n) {
      ANNULUS_UNROLL
      for (int side = 0; side < 2; ++side) {
        if (8 * n + side < columns_left) visit(sums.at(r, n, side), row[8 * n + side]);
      }
    }
  }
}

/// sums = table; what the table does not have stays as it is.
template <int row_blocks, int columns>
ANNULUS_DEVICE void load_sums(Sums<row_blocks, columns>& sums, float* table, const OwnRows& own,
                              int dim) {
  with_table(sums, table, own, dim, [](float& sum, const float& element) { sum = element; });
}

/// table = sums
template <int row_blocks, int columns>
ANNULUS_DEVICE void store_sums(Sums<row_blocks, columns>& sums, float* table, const OwnRows& own,
                               int dim) {
  with_table(sums, table, own, dim, [](const float& sum, float& element) { element = sum; });
}

/// table += sums
template <int row_blocks, int columns>
ANNULUS_DEVICE void add_sums(Sums<row_blocks, columns>& sums, float* table, const OwnRows& own,
                             int dim) {
  with_table(sums, table, own, dim, [](const float& sum, float& element) { element += sum; });
}

}  // namespace annulus::kernels::gpu
