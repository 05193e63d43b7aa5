#pragma once
// The products of a warpgroup: its 64 rows with the rows of a tile, and factors that were made of
// these with the same rows or others. They start here; their registers and tiles are the tensor
// cores' until they are waited for.

#include "kernels/cuda/device/fragments.hpp"
#include "kernels/cuda/device/hopper/matrix_descriptor.hpp"

namespace annulus::kernels::gpu {

/// One factor for each row of a warpgroup and of a tile of `columns`, rounded to 16 bits, as
/// products take them from registers.
template <int columns>
using Factors = std::uint32_t[columns / product_terms][4];

/// Of this thread.
[[nodiscard]] ANNULUS_DEVICE int warpgroup_index() {
  return of_warp(thread_index() / warpgroup_threads);
}

/// Where the rows of a warpgroup begin in a tile that has 64 of each.
[[nodiscard]] ANNULUS_DEVICE SharedOffset rows_of_warpgroup(int warpgroup) {
  return static_cast<SharedOffset>(warpgroup * product_rows * slab_row_bytes);
}

/// dots = <rows of the warpgroup, rows of a tile>. `rows`: where the first begin, in a tile of
/// `own_rows`.
template <class T, int dim, int own_rows, int columns>
ANNULUS_DEVICE void start_dots(Sums<1, columns>& dots, SharedOffset rows, SharedOffset tile) {
  ANNULUS_UNROLL
  for (int element = 0; element < dim; element += product_terms) {
    wgmma<T>(dots.blocks[0], rows_descriptor<own_rows>(rows, element),
             rows_descriptor<columns>(tile, element), element > 0);
  }
  wgmma_commit();
}

/// sums += factors times the rows of a tile, 16 in each of `blocks`.
template <class T, int dim, int blocks>
ANNULUS_DEVICE void start_weighted_rows(Sums<1, dim>& sums, std::uint32_t (&factors)[blocks][4],
                                        SharedOffset tile) {
  constexpr int columns = blocks * product_terms;
  ANNULUS_UNROLL
  for (int block = 0; block < blocks; ++block) {
    wgmma<T>(sums.blocks[0], factors[block],
             columns_descriptor<columns>(tile, block * product_terms), true);
  }
  wgmma_commit();
}

/// sums = a tile of 64 columns, transposed, times the columns of a slab: over the rows of both,
/// `rows` each.
template <class T, int rows>
ANNULUS_DEVICE void start_transposed(Sums<1, slab_columns>& sums, SharedOffset left,
                                     SharedOffset slab) {
  ANNULUS_UNROLL
  for (int row = 0; row < rows; row += product_terms) {
    wgmma_across<T>(sums.blocks[0], columns_descriptor<rows>(left, row),
                    columns_descriptor<rows>(slab, row), row > 0);
  }
  wgmma_commit();
}

/// The fragments of sums and of operands in registers agree.
template <class T, int columns>
ANNULUS_DEVICE void pack_factors(Factors<columns>& factors, const Sums<1, columns>& numbers) {
  ANNULUS_UNROLL
  for (int k = 0; k < columns / product_terms; ++k) {
    ANNULUS_UNROLL
    for (int i = 0; i < 4; ++i) {
      const auto& from = numbers.blocks[0][2 * k + i / 2];
      factors[k][i] = pack<T>(from[i % 2 * 2], from[i % 2 * 2 + 1]);
    }
  }
}

}  // namespace annulus::kernels::gpu
