#pragma once
// The two products that attention is made of, on tensor cores: operands of 16 bits, sums in fp32.

#include "kernels/cuda/device/fragments.hpp"
#include "kernels/cuda/device/swizzle.hpp"

namespace annulus::kernels::gpu {

/// Products of a warp's rows with the rows of a tile, for elements of type T.
template <class T>
struct Products {
  /// sums_ij += <own row i, streaming row j>: both tiles are rows of `dim` elements.
  template <int dim, int row_blocks, int columns>
  ANNULUS_DEVICE static void add_dots(Sums<row_blocks, columns>& sums, SharedOffset own,
                                      SharedOffset streaming) {
    static_assert(columns % 16 == 0);
    using Layout = TileLayout<T, dim>;
    const int lane = lane_index();
    // Of `own`: rows 0-7 and 8-15 of the first 8 elements, then of the next 8. Of `streaming`: both
    // halves of the elements of 8 rows, then of the next 8 rows.
    const LaneChunks<T, dim> rows(own, lane % 16, lane / 16);
    const LaneChunks<T, dim> columns_of(streaming, lane / 16 * 8 + lane % 8, lane / 8 % 2);
    ANNULUS_UNROLL
    for (int chunk = 0; chunk < Layout::chunks; chunk += 2) {
      std::uint32_t a[row_blocks][4];
      ANNULUS_UNROLL
      for (int m = 0; m < row_blocks; ++m) ldmatrix_x4(a[m], rows.at(16 * m, chunk));
      ANNULUS_UNROLL
      for (int n = 0; n < columns / 8; n += 2) {
        std::uint32_t b[4];
        ldmatrix_x4(b, columns_of.at(8 * n, chunk));
        ANNULUS_UNROLL
        for (int m = 0; m < row_blocks; ++m) {
          mma_m16n8k16<T>(sums.blocks[m][n], a[m], {b[0], b[1]});
          mma_m16n8k16<T>(sums.blocks[m][n + 1], a[m], {b[2], b[3]});
        }
      }
    }
  }

  /// sums_i += Sum_j weights_ij streaming row j, with weights rounded to T. The fragments of sums
  /// and of left operands agree, so weights go from one product to the next in their registers.
  template <int dim, int row_blocks, int columns>
  ANNULUS_DEVICE static void add_weighted_rows(Sums<row_blocks, dim>& sums,
                                               const Sums<row_blocks, columns>& weights,
                                               SharedOffset streaming) {
    add_words<dim, row_blocks, columns>(sums, streaming, [&](int r, int n) {
      return pack<T>(weights.at(r, n, 0), weights.at(r, n, 1));
    });
  }

  /// The same with weights that are rounded.
  template <int dim, int row_blocks, int columns>
  ANNULUS_DEVICE static void add_weighted_rows(Sums<row_blocks, dim>& sums,
                                               const PackedSums<row_blocks, columns>& weights,
                                               SharedOffset streaming) {
    add_words<dim, row_blocks, columns>(sums, streaming,
                                        [&](int r, int n) { return weights.words[r][n]; });
  }

  /// sums_i += Sum_j weights_ji row_j for 16 columns i of a tile of weights, `weight_columns` a
  /// row, from `first_column` on, and some elements of the `rows` rows of another tile, from
  /// `first_element` on: a multiple of as many as there are sums of.
  template <int dim, int rows, int weight_columns, int elements>
  ANNULUS_DEVICE static void add_transposed(Sums<1, elements>& sums, SharedOffset weights,
                                            int first_column, SharedOffset tile,
                                            int first_element) {
    static_assert(rows % 16 == 0 && elements % 16 == 0);
    const int lane = lane_index_anew();
    // Both are read by columns. Of weights: 8 rows of both halves of the columns, then the next 8
    // rows. Of rows, as above.
    const LaneChunks<T, weight_columns> columns(weights, lane / 16 * 8 + lane % 8,
                                                first_column / 8 + lane / 8 % 2);
    const LaneChunks<T, dim> rows_of(tile, lane % 16, first_element / 8 + lane / 16);
    ANNULUS_UNROLL
    for (int j = 0; j < rows; j += 16) {
      std::uint32_t a[4];
      ldmatrix_x4_trans(a, columns.at(j, 0));
      ANNULUS_UNROLL
      for (int chunk = 0; chunk < elements / 8; chunk += 2) {
        std::uint32_t b[4];
        ldmatrix_x4_trans(b, rows_of.at(j, chunk));
        mma_m16n8k16<T>(sums.blocks[0][chunk], a, {b[0], b[1]});
        mma_m16n8k16<T>(sums.blocks[0][chunk + 1], a, {b[2], b[3]});
      }
    }
  }

 private:
  /// word(r, n): the lane's weights of its row r and column block n.
  template <int dim, int row_blocks, int columns, class Word>
  ANNULUS_DEVICE static void add_words(Sums<row_blocks, dim>& sums, SharedOffset streaming,
                                       Word word) {
    static_assert(columns % 16 == 0);
    using Layout = TileLayout<T, dim>;
    const int lane = lane_index();
    // 16 rows of 8 columns, then of the next 8, both read by columns.
    const LaneChunks<T, dim> rows(streaming, lane % 16, lane / 16);
    ANNULUS_UNROLL
    for (int j = 0; j < columns / 8; j += 2) {
      std::uint32_t a[row_blocks][4];
      ANNULUS_UNROLL
      for (int m = 0; m < row_blocks; ++m) {
        a[m][0] = word(2 * m, j);
        a[m][1] = word(2 * m + 1, j);
        a[m][2] = word(2 * m, j + 1);
        a[m][3] = word(2 * m + 1, j + 1);
      }
      ANNULUS_UNROLL
      for (int chunk = 0; chunk < Layout::chunks; chunk += 2) {
        std::uint32_t b[4];
        ldmatrix_x4_trans(b, rows.at(8 * j, chunk));
        ANNULUS_UNROLL
        for (int m = 0; m < row_blocks; ++m) {
          mma_m16n8k16<T>(sums.blocks[m][chunk], a[m], {b[0], b[1]});
          mma_m16n8k16<T>(sums.blocks[m][chunk + 1], a[m], {b[2], b[3]});
        }
      }
    }
  }
};

}  // namespace annulus::kernels::gpu
