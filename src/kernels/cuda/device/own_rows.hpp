#pragma once
// The rows of a tile that a warp owns, and what tables in device memory hold of them.

#include <limits>

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/device/fragments.hpp"

namespace annulus::kernels::gpu {

inline constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

/// Rows of this warp for the heads of this thread block: one, or a few that share its tile, which
/// then has one line for each head of each row. r: one of the lines that a lane holds a part of.
struct OwnRows {
  TileWork work;
  int first = 0;   ///< the warp's first line in the tile
  int heads = 1;   ///< of the tables
  int head = 0;    ///< the first one
  int shared = 1;  ///< heads that share the tile

  /// Those of the tile of this thread block, of which every warp owns `warp_lines`.
  [[nodiscard]] ANNULUS_DEVICE static OwnRows of_block(const DeviceTileList& tiles, int warp_lines,
                                                       int heads, int shared = 1) {
    return {.work = tiles.work[block_x()],
            .first = warp_index() * warp_lines,
            .heads = heads,
            .head = block_y() * shared,
            .shared = shared};
  }

  /// The line, whether the tile has it, and the row that it is of, counted in the tile.
  [[nodiscard]] ANNULUS_DEVICE int line(int r) const { return first + row_of_lane(r); }
  [[nodiscard]] ANNULUS_DEVICE bool has(int r) const { return line(r) < work.rows * shared; }
  [[nodiscard]] ANNULUS_DEVICE int row(int r) const { return line(r) / shared; }

  /// Its place in a table (rows, heads) of inputs, and in one of states or sums.
  [[nodiscard]] ANNULUS_DEVICE Index at(int r) const { return place(work.row, r); }
  [[nodiscard]] ANNULUS_DEVICE Index state_at(int r) const { return place(work.state_row, r); }

 private:
  [[nodiscard]] ANNULUS_DEVICE Index place(int first_row, int r) const {
    return static_cast<Index>(first_row + row(r)) * heads + head + line(r) % shared;
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

/// Calls visit(r, number, element of each table...) for all numbers of a lane that tables (rows,
/// heads, dim) have; r is the lane's row. Elements of 8 column blocks are loaded together: those of
/// all would take the registers that sums and logits have.
template <int row_blocks, int columns, class Visit, class... Elements>
ANNULUS_DEVICE void with_tables(Sums<row_blocks, columns>& sums, const OwnRows& own, int dim,
                                Visit visit, Elements*... tables) {
  // Written so that columns are immediate offsets, whatever the lane.
  const int first = column_of_lane(0, 0);
  const int columns_left = dim - first;
  ANNULUS_UNROLL
  for (int r = 0; r < 2 * row_blocks; ++r) {
    const int present = own.has(r) ? columns_left : 0;
    const Index row = own.state_at(r) * dim + first;
    ANNULUS_UNROLL
    for (int n = 0; n < columns / 8; ++n) {
      ANNULUS_UNROLL
      for (int side = 0; side < 2; ++side) {
        const int column = 8 * n + side;
        if (column < present) visit(r, sums.at(r, n, side), (tables + row)[column]...);
      }
      if (n % 8 == 7) sync_warp();
    }
  }
}

/// Moves sums to a table, times `kept` of their rows: table = kept table + sums, sums = 0.
template <int row_blocks, int columns>
ANNULUS_DEVICE void merge_sums(Sums<row_blocks, columns>& sums, double* table,
                               const float (&kept)[2 * row_blocks], const OwnRows& own, int dim) {
  with_tables(
      sums, own, dim,
      [&](int r, float sum, double& element) {
        element = element * static_cast<double>(kept[r]) + static_cast<double>(sum);
      },
      table);
  sums = {};
}

/// Moves sums to a table: table += sums, sums = 0.
template <int row_blocks, int columns>
ANNULUS_DEVICE void move_sums(Sums<row_blocks, columns>& sums, double* table, const OwnRows& own,
                              int dim) {
  with_tables(
      sums, own, dim, [](int, float sum, double& element) { element += static_cast<double>(sum); },
      table);
  sums = {};
}

/// The same for sums in two parts, or in one, which may start with these.
template <int row_blocks, int columns>
ANNULUS_DEVICE void move_sums(Sums<row_blocks, columns>& sums, const DeviceSums& tables,
                              const OwnRows& own, int dim) {
  if (tables.starts) {
    with_tables(
        sums, own, dim, [](int, float sum, float& element) { element = sum; }, tables.high);
    sums = {};
    return;
  }
  if (tables.low == nullptr) {
    with_tables(
        sums, own, dim, [](int, float sum, float& element) { element += sum; }, tables.high);
    sums = {};
    return;
  }
  with_tables(
      sums, own, dim,
      [](int, float sum, float& high, float& low) {
        const double total =
            static_cast<double>(high) + (static_cast<double>(low) + static_cast<double>(sum));
        high = static_cast<float>(total);
        low = static_cast<float>(total - static_cast<double>(high));
      },
      tables.high, tables.low);
  sums = {};
}

}  // namespace annulus::kernels::gpu
