#pragma once
// The tiles that a block computes one after another, and where it stands.

#include "kernels/cuda/device/hopper/tile_ring.hpp"
#include "kernels/cuda/device/own_rows.hpp"
#include "kernels/cuda/work_order.hpp"

namespace annulus::kernels::gpu {

/// A round of WorkOrder is a step of the ring of owned tiles, which has one buffer.
using Round = RingPlace<1>;

/// Calls visit(round) for everything that this thread block has to do.
template <class Visit>
ANNULUS_DEVICE void for_each_round(const WorkOrder& order, Visit visit) {
  for (Round round; order.has(static_cast<int>(round.steps), block_x()); ++round.steps) {
    visit(round);
  }
}

/// As OwnRows::of_block, of an item.
[[nodiscard]] ANNULUS_DEVICE OwnRows rows_of_item(const WorkOrder& order, int item,
                                                  const DeviceTileList& tiles, int warp_lines,
                                                  int heads, int shared = 1) {
  return {.work = tiles.work[order.tile(item)],
          .first = warp_index() * warp_lines,
          .heads = heads,
          .head = order.head(item) * shared,
          .shared = shared};
}

/// The same of a round.
[[nodiscard]] ANNULUS_DEVICE OwnRows rows_of_round(const WorkOrder& order, const Round& round,
                                                   const DeviceTileList& tiles, int warp_lines,
                                                   int heads, int shared = 1) {
  const int item = order.item(static_cast<int>(round.steps), block_x());
  return rows_of_item(order, item, tiles, warp_lines, heads, shared);
}

}  // namespace annulus::kernels::gpu
