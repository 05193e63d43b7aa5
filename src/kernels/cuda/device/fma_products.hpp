#pragma once
// The same two products in fp32, by multiply-adds of every lane: nothing is rounded to fewer bits,
// as tf32 tensor cores would.

#include "kernels/cuda/device/tensor_products.hpp"

namespace annulus::kernels::gpu {

template <>
struct Products<float> {
  template <int dim, int row_blocks, int columns>
  ANNULUS_DEVICE static void add_dots(Sums<row_blocks, columns>& sums, SharedOffset own,
                                      SharedOffset streaming) {
    using Chunk = Vector<4>;
    constexpr int own_rows = 2 * row_blocks;
    const LaneChunks<float, dim> rows(own, row_of_lane(0));
    const LaneChunks<float, dim> sides[2] = {{streaming, column_of_lane(0, 0)},
                                             {streaming, column_of_lane(0, 1)}};
    for (int chunk = 0; chunk < TileLayout<float, dim>::chunks; ++chunk) {
      Chunk a[own_rows];
      ANNULUS_UNROLL
      for (int r = 0; r < own_rows; ++r) a[r] = load_shared<Chunk>(rows.at(8 * r, chunk));
      ANNULUS_UNROLL
      for (int n = 0; n < columns / 8; ++n) {
        ANNULUS_UNROLL
        for (int side = 0; side < 2; ++side) {
          const auto b = load_shared<Chunk>(sides[side].at(8 * n, chunk));
          ANNULUS_UNROLL
          for (int r = 0; r < own_rows; ++r) {
            ANNULUS_UNROLL
            for (int e = 0; e < 4; ++e) sums.at(r, n, side) += a[r].at[e] * b.at[e];
          }
        }
      }
    }
  }

  /// A weight is sent from the lane that holds it to the three others of its row.
  template <int dim, int row_blocks, int columns>
  ANNULUS_DEVICE static void add_weighted_rows(Sums<row_blocks, dim>& sums,
                                               const Sums<row_blocks, columns>& weights,
                                               SharedOffset streaming) {
    using Layout = TileLayout<float, dim>;
    using Pair = Vector<2>;
    constexpr int rows = 2 * row_blocks;
    // Columns 8 n + 2 (l % 4) and the next lie in chunk 2 n or 2 n + 1, in its first or second
    // half. Rows turn them by a number known to the compiler, whose lowest bit swaps these two
    // chunks.
    const int lane = lane_index();
    const SharedOffset half = streaming + static_cast<SharedOffset>(lane % 2 * 8);
    const SharedOffset straight = half + static_cast<SharedOffset>(lane / 2 % 2 * 16);
    const SharedOffset swapped = half + static_cast<SharedOffset>((1 - lane / 2 % 2) * 16);
    ANNULUS_UNROLL
    for (int j = 0; j < columns; ++j) {
      float weight[rows];
      ANNULUS_UNROLL
      for (int r = 0; r < rows; ++r) {
        weight[r] = shuffle(weights.at(r, j / 8, j % 2), lane / 4 * 4 + j % 8 / 2);
      }
      const SharedOffset chunks = Layout::turn_of(j) % 2 == 0 ? straight : swapped;
      ANNULUS_UNROLL
      for (int n = 0; n < dim / 8; ++n) {
        const int even = 2 * n ^ Layout::turn_of(j) / 2 * 2;
        const auto b = load_shared<Pair>(
            chunks + static_cast<SharedOffset>(j * Layout::row_bytes + even * 16));
        ANNULUS_UNROLL
        for (int r = 0; r < rows; ++r) {
          sums.at(r, n, 0) += weight[r] * b.at[0];
          sums.at(r, n, 1) += weight[r] * b.at[1];
        }
      }
    }
  }
};

}  // namespace annulus::kernels::gpu
