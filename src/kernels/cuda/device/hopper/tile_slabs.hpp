#pragma once
// Whole tiles of rows in shared memory: how they come, and how rows become 0 that nobody is to see.

#include "kernels/cuda/device/hopper/matrix_descriptor.hpp"
#include "kernels/cuda/hopper_shape.hpp"

namespace annulus::kernels::gpu {

/// The barrier of the threads that own rows; 0 is that of all threads.
inline constexpr int named_barrier_of_owners = 1;

/// Starts the copy of a tile of `rows` rows, slab by slab, by one thread. Its bytes come to a
/// barrier that expects them.
template <int dim, int rows>
ANNULUS_DEVICE void load_slabs(SharedOffset to, const TensorMap& map, int head, int row,
                               SharedOffset barrier) {
  ANNULUS_UNROLL
  for (int slab = 0; slab < dim / slab_columns; ++slab) {
    load_tile(to + static_cast<SharedOffset>(slab * rows * slab_row_bytes), map,
              {.element = slab * slab_columns, .head = head, .row = row}, barrier);
  }
}

/// Rows past the end of a run have factors of 0, but may be NaN or infinite: those of the tiles
/// from `count` on become 0, by all owners together.
template <int dim, int rows, class... Tiles>
ANNULUS_DEVICE void clear_rows_past(int count, Tiles... tiles) {
  if (count == rows) return;
  constexpr int chunks = slab_row_bytes / 16;
  constexpr int owner_threads = HopperShape::owner_warps * warp_lanes;
  for (int i = count * chunks + thread_index(); i < rows * chunks; i += owner_threads) {
    for (int slab = 0; slab < dim / slab_columns; ++slab) {
      const auto at = static_cast<SharedOffset>(slab * rows * slab_row_bytes + 16 * i);
      (store_zeros(tiles + at), ...);
    }
  }
  async_proxy_fence();
  named_barrier_sync(named_barrier_of_owners, owner_threads);
}

}  // namespace annulus::kernels::gpu
