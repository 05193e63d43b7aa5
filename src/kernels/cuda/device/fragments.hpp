#pragma once
// What of a tile each lane of a warp holds.

#include <cmath>

#include "kernels/cuda/device/instructions.hpp"

namespace annulus::kernels::gpu {

/// Sums of a warp's rows by `columns`, in the fragments of mma m16n8: in each block of 16 rows and
/// 8 columns, lane l holds rows l / 4 and l / 4 + 8 of columns 2 (l % 4) and 2 (l % 4) + 1.
/// Products in fp32 without tensor cores use the same layout, so that everything between products
/// is one code.
template <int row_blocks, int columns>
struct Sums {
  static_assert(columns % 8 == 0);
  static constexpr int rows = 2 * row_blocks;  ///< that a lane holds a part of
  static constexpr int column_blocks = columns / 8;

  float blocks[row_blocks][column_blocks][4] = {};

  /// The lane's number `side` (0 or 1) of its row r in column block n.
  [[nodiscard]] ANNULUS_DEVICE float& at(int r, int n, int side) {
    return blocks[r / 2][n][r % 2 * 2 + side];
  }
  [[nodiscard]] ANNULUS_DEVICE float at(int r, int n, int side) const {
    return blocks[r / 2][n][r % 2 * 2 + side];
  }
};

/// The same, rounded to 16 bits: both sides of a row and column block in one register.
template <int row_blocks, int columns>
struct PackedSums {
  std::uint32_t words[2 * row_blocks][columns / 8];
};

template <class T, int row_blocks, int columns>
[[nodiscard]] ANNULUS_DEVICE PackedSums<row_blocks, columns> pack_sums(
    const Sums<row_blocks, columns>& sums) {
  PackedSums<row_blocks, columns> packed;
  ANNULUS_UNROLL
  for (int r = 0; r < 2 * row_blocks; ++r) {
    ANNULUS_UNROLL
    for (int n = 0; n < columns / 8; ++n) {
      packed.words[r][n] = pack<T>(sums.at(r, n, 0), sums.at(r, n, 1));
    }
  }
  return packed;
}

/// The lane's row r, as a row of the warp.
[[nodiscard]] ANNULUS_DEVICE int row_of_lane(int r) {
  return r / 2 * 16 + r % 2 * 8 + lane_index() / 4;
}

/// The lane's column `side` of column block n.
[[nodiscard]] ANNULUS_DEVICE int column_of_lane(int n, int side) {
  return 8 * n + 2 * (lane_index() % 4) + side;
}

/// Calls visit(r, n, side) for all numbers that a lane holds.
template <int rows, int column_blocks, class Visit>
ANNULUS_DEVICE void for_each_number(Visit visit) {
  ANNULUS_UNROLL
  for (int r = 0; r < rows; ++r) {
    ANNULUS_UNROLL
    for (int n = 0; n < column_blocks; ++n) {
      visit(r, n, 0);
      visit(r, n, 1);
    }
  }
}

/// Over the four lanes that hold parts of the same rows.
[[nodiscard]] ANNULUS_DEVICE float largest_of_row(float value) {
  value = fmaxf(value, shuffle_xor(value, 1));
  return fmaxf(value, shuffle_xor(value, 2));
}
[[nodiscard]] ANNULUS_DEVICE float sum_of_row(float value) {
  value += shuffle_xor(value, 1);
  return value + shuffle_xor(value, 2);
}

}  // namespace annulus::kernels::gpu
