#pragma once
// What the gradient kernels for compute capability 9.0 have in common: two owned tiles, two tiles
// that stream past them in steps, and a thread block that brings and computes at once.

#include "kernels/cuda/device/column_queries.hpp"
#include "kernels/cuda/device/hopper/tile_rounds.hpp"
#include "kernels/cuda/device/hopper/tile_slabs.hpp"
#include "kernels/cuda/device/hopper/warpgroup_products.hpp"
#include "kernels/cuda/hopper_arguments.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {

/// T: BFloat16 or Float16. dim: one of hopper_dims, at least d and d_v. shape: of the kernel's
/// tiles. numbers: fp32 numbers of each streaming row, which lie behind the tiles of all stages and
/// are brought beside them. more: bytes between tiles and numbers, from `more_at` on, which are a
/// kernel's own, as is what follows from `end` on.
template <class T, int dim, HopperShape shape, int numbers, int more = 0>
struct HopperGradientBlock {
  static constexpr int threads = HopperShape::threads;
  static constexpr int registers = HopperShape::registers;
  static constexpr int rows = HopperShape::rows;
  static constexpr int columns = shape.columns;
  static constexpr int stages = shape.stages;
  static constexpr int panel = panel_rows(sizeof(T)) / columns;
  static constexpr int row_bytes = dim * static_cast<int>(sizeof(T));
  static constexpr int shared_bytes = shape.shared_bytes(row_bytes, 2, 1, numbers) + more;
  static_assert(shared_bytes <= most_hopper_shared_bytes);

  using Place = RingPlace<stages>;
  using Ring = TileRing<stages>;
  using Dots = Sums<1, columns>;
  using Rows = Sums<1, dim>;

  static constexpr SharedOffset owned_bytes = rows * row_bytes;
  static constexpr SharedOffset tile_bytes = columns * row_bytes;
  static constexpr SharedOffset number_bytes = columns * numbers * sizeof(float);
  static constexpr SharedOffset more_at = 2 * owned_bytes + stages * 2 * tile_bytes;
  static constexpr SharedOffset first_numbers = more_at + more;
  static constexpr SharedOffset owned_here = first_numbers + stages * number_bytes;
  static constexpr SharedOffset end = owned_here + 16 + 16 * stages;
  static_assert(end == shared_bytes);
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
    const auto bring_by_first = [&](int warp) {
      if (warp == 0) bring();
    };
    run([] {}, bring_by_first, compute);
  }

  /// Calls init() in one thread before all else, then help(i) in warp i of those that own nothing
  /// and compute() in those that own rows.
  template <class Init, class Help, class Compute>
  ANNULUS_DEVICE static void run(Init init, Help help, Compute compute) {
    if (thread_index() == 0) {
      init();
      owned_ring().init(HopperShape::owner_warps);
      // One arrival for tiles, and one of each lane for numbers.
      ring().init(HopperShape::owner_warps, numbers > 0 ? 1 + warp_lanes : 1);
      barrier_init_fence();
    }
    sync_threads();
    const int warp = of_warp(warp_index());
    if (warp < HopperShape::owner_warps) {
      take_registers<HopperShape::owner_registers>();
      compute();
    } else {
      give_registers<HopperShape::bringing_registers>();
      help(warp - HopperShape::owner_warps);
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

  /// Where keys own tiles, by one warp: those of a round, and of all its steps. What note_of(walk)
  /// says of a step is there before its buffers are empty; one lane calls note(it, place) before it
  /// brings the tiles.
  template <class Walk, class NoteOf, class Note>
  ANNULUS_DEVICE static void bring_keys_and_steps(const HopperGradientArguments& arguments,
                                                  const Round& round, const OwnRows& own, Walk walk,
                                                  Place& place, NoteOf note_of, Note note) {
    const bool brings = lane_index() == 0;
    bool first = true;
    for (; !walk.done(); walk.advance(), ++place.steps) {
      const auto of_step = note_of(walk);
      ring().wait_until_empty(place);
      if (brings) {
        note(of_step, place);
        bring_tiles(place, arguments.q, arguments.dout, walk.head(), walk.row());
      }
      if (first) {
        // Behind the first step, whose buffer is empty before that of owned tiles is.
        owned_ring().wait_until_empty(round);
        if (brings) bring_owned(arguments.k, arguments.v, own.head, own.work.row);
        first = false;
      }
      sync_warp();  // or lanes that bring nothing might miss a whole phase
    }
  }

  /// By another: the numbers of the queries of these steps.
  template <class Walk>
  ANNULUS_DEVICE static void bring_numbers(const GradientArguments& a, Walk walk, Place& place) {
    for (; !walk.done(); walk.advance(), ++place.steps) {
      ring().wait_until_empty(place);
      const ColumnQueries<columns> queries{numbers_of(place)};
      queries.template copy<warp_lanes>(a, walk.place(), lane_index_anew());
      barrier_arrive_after_copies(ring().full(place.stage()));
      sync_warp();  // or a lane might miss a whole phase
    }
  }
};

}  // namespace annulus::kernels::gpu
