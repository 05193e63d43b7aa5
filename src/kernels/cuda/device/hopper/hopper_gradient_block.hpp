#pragma once
// What both gradient kernels for compute capability 9.0 have in common: two owned tiles, two tiles
// that stream past them in steps, and a thread block that brings and computes at once.

#include "kernels/cuda/device/hopper/tile_ring.hpp"
#include "kernels/cuda/device/hopper/tile_slabs.hpp"
#include "kernels/cuda/device/hopper/warpgroup_products.hpp"
#include "kernels/cuda/hopper_arguments.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {

/// T: BFloat16 or Float16. dim: one of hopper_dims, at least d and d_v. shape: of the kernel's
/// tiles. numbers: fp32 numbers of
/// each streaming row, which lie behind the tiles of all stages and are brought beside them.
template <class T, int dim, HopperShape shape, int numbers>
struct HopperGradientBlock {
  static constexpr int threads = HopperShape::threads;
  static constexpr int registers = HopperShape::registers;
  static constexpr int rows = HopperShape::rows;
  static constexpr int columns = shape.columns;
  static constexpr int stages = shape.stages;
  static constexpr int panel = panel_rows(sizeof(T)) / columns;
  static constexpr int row_bytes = dim * static_cast<int>(sizeof(T));
  static constexpr int shared_bytes = shape.shared_bytes(row_bytes, 2, 1, numbers);
  static_assert(shared_bytes <= most_hopper_shared_bytes);

  using Place = RingPlace<stages>;
  using Ring = TileRing<stages>;
  using Dots = Sums<1, columns>;
  using Rows = Sums<1, dim>;

  static constexpr SharedOffset owned_bytes = rows * row_bytes;
  static constexpr SharedOffset tile_bytes = columns * row_bytes;
  static constexpr SharedOffset number_bytes = columns * numbers * sizeof(float);
  static constexpr SharedOffset first_numbers = 2 * owned_bytes + stages * 2 * tile_bytes;
  static constexpr SharedOffset owned_here = first_numbers + stages * number_bytes;
  /// The second owned tile; the first is at 0.
  static constexpr SharedOffset second_owned = owned_bytes;

  /// There is one buffer of owned tiles; owned_here is the barrier that says it is full.
  ANNULUS_DEVICE static TileRing<1> owned_ring() { return {owned_here}; }
  ANNULUS_DEVICE static Ring ring() { return {owned_here + 16}; }

  /// The streaming tiles of a step, and its numbers.
  ANNULUS_DEVICE static SharedOffset first_tile(const Place& place) {
    return 2 * owned_bytes + static_cast<SharedOffset>(place.stage()) * 2 * tile_bytes;
  }
  ANNULUS_DEVICE static SharedOffset second_tile(const Place& place) {
    return first_tile(place) + tile_bytes;
  }
  ANNULUS_DEVICE static SharedOffset numbers_of(const Place& place) {
    return first_numbers + static_cast<SharedOffset>(place.stage()) * number_bytes;
  }

  /// Calls bring() in one warp and compute() in those that own rows.
  template <class Bring, class Compute>
  ANNULUS_DEVICE static void run(Bring bring, Compute compute) {
    if (thread_index() == 0) {
      owned_ring().init(HopperShape::owner_warps);
      // One arrival for tiles, and one of each lane for numbers.
      ring().init(HopperShape::owner_warps, numbers > 0 ? 1 + warp_lanes : 1);
      barrier_init_fence();
    }
    sync_threads();
    if (warp_index() < HopperShape::owner_warps) {
      take_registers<HopperShape::owner_registers>();
      compute();
    } else {
      give_registers<HopperShape::bringing_registers>();
      if (warp_index() == HopperShape::owner_warps) bring();
    }
  }

  /// By one thread: both owned tiles.
  ANNULUS_DEVICE static void bring_owned(const TensorMap& first, const TensorMap& second, int head,
                                         int row) {
    barrier_arrive(owned_here, 2 * owned_bytes);
    load_slabs<dim, rows>(0, first, head, row, owned_here);
    load_slabs<dim, rows>(second_owned, second, head, row, owned_here);
  }

  /// By one thread: both tiles of a step, whose buffers are empty.
  ANNULUS_DEVICE static void bring_tiles(const Place& place, const TensorMap& first,
                                         const TensorMap& second, int head, int row) {
    const SharedOffset full = ring().full(place.stage());
    barrier_arrive(full, 2 * tile_bytes);
    load_slabs<dim, columns>(first_tile(place), first, head, row, full);
    load_slabs<dim, columns>(second_tile(place), second, head, row, full);
  }
};

}  // namespace annulus::kernels::gpu
