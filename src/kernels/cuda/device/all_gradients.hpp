#pragma once
// What kernels of all gradients have in common: which tile a ticket stands for, at which step a
// walk is, and what of gradients and sums counts.

#include "kernels/cuda/device/own_rows.hpp"
#include "kernels/cuda/device/tile_walk.hpp"

namespace annulus::kernels::gpu {

/// Rows of this warp in the tile that a ticket stands for: key heads first, tiles in the order of
/// the list.
[[nodiscard]] ANNULUS_DEVICE OwnRows rows_of_ticket(const GradientArguments& a, int number,
                                                    int warp_rows) {
  const int key_heads = a.heads / a.group;
  return {.work = a.tiles.work[number / key_heads],
          .first = warp_index() * warp_rows,
          .heads = key_heads,
          .head = number % key_heads};
}

/// Which step of a head a walk is at, among those of all heads.
template <int columns, bool keeps_end>
[[nodiscard]] ANNULUS_DEVICE int step_of(const GradientArguments& a,
                                         const GroupWalk<columns, keeps_end>& walk) {
  const auto& visit = walk.visit();
  const int step = visit.step + (walk.begin() - visit.seen.begin) / columns;
  return step * a.heads + walk.head();
}

template <int row_blocks, int columns>
ANNULUS_DEVICE void scale_sums(Sums<row_blocks, columns>& sums, float scale) {
  for_each_number<2 * row_blocks, columns / 8>(
      [&](int r, int n, int side) { sums.at(r, n, side) *= scale; });
}

}  // namespace annulus::kernels::gpu
