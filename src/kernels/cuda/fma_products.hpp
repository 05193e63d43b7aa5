#pragma once
// The same two products in fp32, by multiply-adds of every lane: nothing is rounded to fewer bits,
// as tf32 tensor cores would.

#include "kernels/cuda/tensor_products.hpp"

namespace annulus::kernels::gpu {

template <>
struct Products<float> {
  template <int dim, int row_blocks, int columns>
  ANNULUS_DEVICE static void add_dots(Sums<row_blocks, columns>& sums, SharedOffset own,
                                      SharedOffset streaming) {
    using Layout = TileLayout<float, dim>;
    using Chunk = Vector<4>;
    constexpr int rows = 2 * row_blocks;
    for (int chunk = 0; chunk < Layout::chunks; ++chunk) {
      Chunk a[rows];
      ANNULUS_UNROLL
      for (int r = 0; r < rows; ++r) {
        a[r] = load_shared<Chunk>(own + Layout::at(row_of_lane(r), chunk));
      }
      ANNULUS_UNROLL
      for (int n = 0; n < columns / 8; ++n) {
        ANNULUS_UNROLL
        for (int side = 0; side < 2; ++side) {
          const auto b = load_shared<Chunk>(streaming + Layout::at(column_of_lane(n, side), chunk));
          ANNULUS_UNROLL
          for (int r = 0; r < rows; ++r) {
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
    const int first_lane = lane_index() / 4 * 4;
    ANNULUS_UNROLL
    for (int j = 0; j < columns; ++j) {
      float weight[rows];
      ANNULUS_UNROLL
      for (int r = 0; r < rows; ++r) {
        weight[r] = shuffle(weights.at(r, j / 8, j % 2), first_lane + j % 8 / 2);
      }
      ANNULUS_UNROLL
      for (int n = 0; n < dim / 8; ++n) {
        const auto b = load_shared<Pair>(streaming + Layout::at_element(j, column_of_lane(n, 0)));
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
