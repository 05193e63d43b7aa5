#pragma once
// The forward kernel for compute capability 9.0: what forward_kernel.hpp computes, by asynchronous
// products of warpgroups and tiles that come by themselves.
//
// A multiprocessor has one block, which computes one tile after another in the order of WorkOrder.
// A warp brings tiles, as far ahead as there are buffers: the first keys of the next tile come
// before owners are done with this one, and its queries while they write it. Two warpgroups own 64
// queries each. An owner starts the scores of the next step and then the weighted values of this
// one; while tensor cores compute both, it turns the scores into weights as soon as they are there,
// so softmax stands beside the products of values (as FlashAttention 3 does within a warpgroup:
// Shah et al. 2024, section 3.2).

#include "kernels/cuda/device/dot_softmax.hpp"
#include "kernels/cuda/device/hopper/tile_rounds.hpp"
#include "kernels/cuda/device/hopper/tile_slabs.hpp"
#include "kernels/cuda/device/hopper/warpgroup_products.hpp"
#include "kernels/cuda/hopper_arguments.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {

/// T: BFloat16 or Float16. dim: one of hopper_dims, at least d and d_v.
template <class T, int dim, Statistics statistics>
struct HopperForwardKernel {
  using Arguments = HopperForwardArguments;
  static constexpr HopperShape shape = hopper_forward_shape(dim);
  static constexpr int threads = HopperShape::threads;
  static constexpr int registers = HopperShape::registers;
  static constexpr int columns = shape.columns;
  static constexpr int stages = shape.stages;
  static constexpr int panel = panel_rows(sizeof(T)) / columns;
  static constexpr int row_bytes = dim * static_cast<int>(sizeof(T));
  static constexpr int shared_bytes = shape.shared_bytes(row_bytes, 1, 2);
  static_assert(shared_bytes <= most_hopper_shared_bytes);

  using Walk = TileWalk<columns>;
  using Place = RingPlace<stages>;
  using Ring = TileRing<stages>;
  using Dots = Sums<1, columns>;
  using Values = Sums<1, dim>;
  using Weights = Factors<columns>;

  // Shared memory: queries, keys and values of all stages, barriers.
  static constexpr SharedOffset tile_bytes = columns * row_bytes;
  static constexpr SharedOffset first_keys = HopperShape::rows * row_bytes;
  static constexpr SharedOffset first_values = first_keys + stages * tile_bytes;
  static constexpr SharedOffset first_barrier = first_values + stages * tile_bytes;

  ANNULUS_DEVICE static TileRing<1> queries_ring() { return {first_barrier}; }
  ANNULUS_DEVICE static Ring keys_ring() { return {first_barrier + 16}; }
  ANNULUS_DEVICE static Ring values_ring() { return {first_barrier + 16 + 16 * stages}; }
  ANNULUS_DEVICE static SharedOffset keys_at(const Place& place) {
    return first_keys + static_cast<SharedOffset>(place.stage()) * tile_bytes;
  }
  ANNULUS_DEVICE static SharedOffset values_at(const Place& place) {
    return first_values + static_cast<SharedOffset>(place.stage()) * tile_bytes;
  }

  ANNULUS_DEVICE static void run(const Arguments& a) {
    if (thread_index() == 0) {
      queries_ring().init(HopperShape::owner_warps);
      keys_ring().init(HopperShape::owner_warps);
      values_ring().init(HopperShape::owner_warps);
      barrier_init_fence();
    }
    sync_threads();
    if (warp_index() < HopperShape::owner_warps) {
      take_registers<HopperShape::owner_registers>();
      compute(a);
    } else {
      give_registers<HopperShape::bringing_registers>();
      if (warp_index() == HopperShape::owner_warps) bring_tiles(a);
    }
  }

 private:
  /// Brings a tile of `rows` rows, of which `bytes` come.
  template <int rows>
  ANNULUS_DEVICE static void bring(SharedOffset to, const TensorMap& map, int head, int row,
                                   int bytes, SharedOffset barrier) {
    barrier_arrive(barrier, bytes);
    load_slabs<dim, rows>(to, map, head, row, barrier);
  }

  /// By one warp, all of which waits and one lane of which brings.
  ANNULUS_DEVICE static void bring_tiles(const Arguments& a) {
    Place place;
    for_each_round(a.order, [&](const Round& round) { bring_tile(a, round, place); });
  }

  ANNULUS_DEVICE static void bring_tile(const Arguments& arguments, const Round& round,
                                        Place& place) {
    const ForwardArguments& a = arguments.forward;
    const auto own = rows_of_round(arguments.order, round, a.tiles, 0, a.heads, a.shared);
    const int key_head = own.head / a.group;
    const bool brings = lane_index() == 0;
    bool first = true;
    for (Walk walk(a.tiles, own.work); !walk.done(); walk.advance(), ++place.steps) {
      keys_ring().wait_until_empty(place);
      if (brings) {
        bring<columns>(keys_at(place), arguments.k, key_head, walk.row(), tile_bytes,
                       keys_ring().full(place.stage()));
      }
      if (first) {
        // Behind the first keys, whose buffer is empty before that of queries is.
        queries_ring().wait_until_empty(round);
        if (brings) {
          // A box has whole rows, each with its heads.
          const int box_rows = HopperShape::rows / a.shared * a.shared;
          bring<HopperShape::rows>(0, arguments.q, own.head, own.work.row, box_rows * row_bytes,
                                   queries_ring().full(0));
        }
        first = false;
      }
      values_ring().wait_until_empty(place);
      if (brings) {
        bring<columns>(values_at(place), arguments.v, key_head, walk.row(), tile_bytes,
                       values_ring().full(place.stage()));
      }
      sync_warp();  // or lanes that bring nothing might miss a whole phase
    }
  }

  ANNULUS_DEVICE static void compute(const Arguments& a) {
    Place place;
    for_each_round(a.order, [&](const Round& round) { compute_tile(a, round, place); });
  }

  ANNULUS_DEVICE static void compute_tile(const Arguments& arguments, const Round& round,
                                          Place& place) {
    const ForwardArguments& a = arguments.forward;
    // Made again wherever it is needed, for registers are few.
    const auto own_rows = [&] {
      return rows_of_round(arguments.order, round, a.tiles, 16, a.heads, a.shared);
    };
    const OwnRows own = own_rows();
    const DotScale<2> scale(a.scale, own);
    auto states = states_of_dots(a.state, own, scale);
    Walk walk(a.tiles, own.work);
    const SharedOffset owned = rows_of_warpgroup(warpgroup_index());
    Dots dots;
    Values sums;
    Weights weights;

    const auto softmax = [&](float(&factors)[2]) {
      if constexpr (statistics == Statistics::on) {
        if (walk.meets_self()) capture_self_logits(a, own_rows(), dots, walk);
      }
      if (scale.turns) scale.turn_dots(dots, a.scale, own_rows());
      if (!walk.whole()) hide(dots, walk, own_rows());
      bool rises = false;
      raise_dot_maximum<statistics>(states, dots, scale, [&](const float(&of_rows)[2]) {
        rises = true;
        for (int r = 0; r < 2; ++r) factors[r] = of_rows[r];
      });
      weigh_dots<statistics>(states, dots, scale);
      return rises;
    };

    queries_ring().wait_until_full(round);
    while (!walk.done()) {
      // The first step of a panel: there are no values to add yet.
      keys_ring().wait_until_full(place);
      wgmma_fence(dots.blocks[0]);
      start_dots<T, dim, HopperShape::rows>(dots, owned, keys_at(place));
      wgmma_wait<0>(dots.blocks[0]);
      keys_ring().release(place);
      float factors[2];
      softmax(factors);
      pack_factors<T>(weights, dots);
      int count = walk.count();
      walk.advance();
      ++place.steps;
      for (int step = 1; step < panel && !walk.done(); ++step, ++place.steps) {
        keys_ring().wait_until_full(place);
        wgmma_fence(dots.blocks[0]);
        start_dots<T, dim, HopperShape::rows>(dots, owned, keys_at(place));
        values_ring().wait_until_full(place.before());
        clear_rows_past<dim, columns>(count, values_at(place.before()));
        wgmma_fence(sums.blocks[0], weights);
        start_weighted_rows<T, dim>(sums, weights, values_at(place.before()));
        wgmma_wait<1>(dots.blocks[0]);
        keys_ring().release(place);
        const bool rises = softmax(factors);
        // Or the compiler would move the powers behind the wait.
        compute_before(states.sum[0] + states.sum[1]);
        wgmma_wait<0>(sums.blocks[0], weights);
        values_ring().release(place.before());
        if (rises) scale_rows(sums, factors);
        pack_factors<T>(weights, dots);
        count = walk.count();
        walk.advance();
      }
      if (walk.done()) queries_ring().release(round);
      values_ring().wait_until_full(place.before());
      clear_rows_past<dim, columns>(count, values_at(place.before()));
      wgmma_fence(sums.blocks[0], weights);
      start_weighted_rows<T, dim>(sums, weights, values_at(place.before()));
      wgmma_wait<0>(sums.blocks[0], weights);
      values_ring().release(place.before());
      end_panel<statistics>(states, sums, a, own_rows());
    }
  }
};

}  // namespace annulus::kernels::gpu
