#pragma once
// From dot products to logits: the scale, what the mask hides, and what stands at a row's own
// position.

#include "kernels/cuda/device/own_rows.hpp"
#include "kernels/cuda/device/tile_walk.hpp"

namespace annulus::kernels::gpu {

/// z = scale <q, k>, rounded: where the compiler subtracted the maximum of rounded logits from
/// products that are not, the difference at the maximum itself would not be 0, and large where
/// logits are.
template <int row_blocks, int columns, class ScaleOf>
ANNULUS_DEVICE void scale_logits(Sums<row_blocks, columns>& dots, ScaleOf scale_of) {
  for_each_number<2 * row_blocks, columns / 8>([&](int r, int n, int side) {
    dots.at(r, n, side) = rounded_product(dots.at(r, n, side), scale_of(r, n, side));
  });
}

/// Logits that the mask hides become -inf.
template <int row_blocks, int columns, class Walk>
ANNULUS_DEVICE void hide(Sums<row_blocks, columns>& logits, const Walk& walk, const OwnRows& own) {
  ANNULUS_UNROLL
  for (int r = 0; r < 2 * row_blocks; ++r) {
    const auto seen = walk.visit().visible(own.row(r));
    const int begin = seen.begin - walk.begin();
    const int end = seen.end - walk.begin();
    for_each_number<1, columns / 8>([&](int, int n, int side) {
      const int column = column_of_lane(n, side);
      if (column < begin || column >= end) logits.at(r, n, side) = minus_infinity;
    });
  }
}

/// Writes the logits of columns that stand where a row stands to a table (rows, heads), of dot
/// products that are not scaled yet. Every mask shows a query its own position, and no other tile
/// holds it.
template <int row_blocks, int columns, class Walk>
ANNULUS_DEVICE void capture_self_logits(const ForwardArguments& a, const OwnRows& own,
                                        const Sums<row_blocks, columns>& dots, const Walk& walk) {
  const RowNumbers<2 * row_blocks> scale(a.scale, own);
  ANNULUS_UNROLL
  for (int r = 0; r < 2 * row_blocks; ++r) {
    if (!own.has(r)) continue;
    const int self = walk.visit().self_key(own.row(r)) - walk.begin();
    for_each_number<1, columns / 8>([&](int, int n, int side) {
      if (self == column_of_lane(n, side)) {
        a.state.self_logit[own.state_at(r)] = rounded_product(dots.at(r, n, side), scale.at[r]);
      }
    });
  }
}

}  // namespace annulus::kernels::gpu
