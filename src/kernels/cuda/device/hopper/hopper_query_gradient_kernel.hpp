#pragma once
// Gradients of a tile of queries on compute capability 9.0: what query_gradient_kernel.hpp
// computes, by asynchronous products of warpgroups and tiles that come by themselves.
//
// A block computes one tile after another, as that of hopper_forward_kernel.hpp. An owner starts
// both products of a step at once, <q, k> and <dout, v>, behind the weighted keys of the step
// before: tensor cores go on while it makes probabilities and gradients of logits.

#include "kernels/cuda/device/gradients.hpp"
#include "kernels/cuda/device/hopper/hopper_gradient_block.hpp"
#include "kernels/cuda/device/hopper/tile_rounds.hpp"

namespace annulus::kernels::gpu {

/// Adds Sum_j dz_ij k_j to the sums of every query. T, dim: as in HopperGradientBlock.
template <class T, int dim>
struct HopperQueryGradientKernel
    : HopperGradientBlock<T, dim, hopper_query_gradient_shape(dim), 0> {
  using Block = HopperGradientBlock<T, dim, hopper_query_gradient_shape(dim), 0>;
  using Arguments = HopperGradientArguments;
  using typename Block::Dots;
  using typename Block::Place;
  using Walk = TileWalk<Block::columns>;
  static constexpr int columns = Block::columns;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    Block::run([&] { bring(a); }, [&] { compute(a); });
  }

 private:
  /// By one warp, all of which waits and one lane of which brings.
  ANNULUS_DEVICE static void bring(const Arguments& a) {
    Place place;
    for_each_round(a.order, [&](const Round& round) { bring_tile(a, round, place); });
  }

  ANNULUS_DEVICE static void bring_tile(const Arguments& arguments, const Round& round,
                                        Place& place) {
    const GradientArguments& a = arguments.gradient;
    const auto own = rows_of_round(arguments.order, round, a.tiles, 0, a.heads);
    const int key_head = own.head / a.group;
    const bool brings = lane_index() == 0;
    bool first = true;
    for (Walk walk(a.tiles, own.work); !walk.done(); walk.advance(), ++place.steps) {
      Block::ring().wait_until_empty(place);
      if (brings) Block::bring_tiles(place, arguments.k, arguments.v, key_head, walk.row());
      if (first) {
        // Behind the first step, whose buffer is empty before that of owned tiles is.
        Block::owned_ring().wait_until_empty(round);
        if (brings) Block::bring_owned(arguments.q, arguments.dout, own.head, own.work.row);
        first = false;
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
    const GradientArguments& a = arguments.gradient;
    // Made again wherever it is needed, for registers are few.
    const auto own_rows = [&] {
      return rows_of_round(arguments.order, round, a.tiles, 16, a.heads);
    };
    const OwnRows own = own_rows();
    const RowQueries<2> queries(a, own);
    Walk walk(a.tiles, own.work);
    const SharedOffset owned = rows_of_warpgroup(warpgroup_index());
    Dots p;
    Dots dp;
    Factors<columns> dz;
    typename Block::Rows sums;

    Block::owned_ring().wait_until_full(round);
    while (!walk.done()) {
      int step = 0;  // of a panel
      for (; step < Block::panel && !walk.done(); ++step, ++place.steps, walk.advance()) {
        const SharedOffset keys = Block::first_tile(place);
        const SharedOffset values = Block::second_tile(place);
        Block::ring().wait_until_full(place);
        clear_rows_past<dim, columns>(walk.count(), keys, values);
        wgmma_fence(p.blocks[0], dp.blocks[0]);
        start_dots<T, dim, Block::rows>(p, owned, keys);
        start_dots<T, dim, Block::rows>(dp, Block::second_owned + owned, values);
        wgmma_wait<1>(p.blocks[0], sums.blocks[0], dz);
        if (step > 0) Block::ring().release(place.before());
        to_probabilities(p, queries, walk, own_rows());
        // Or the compiler would move the powers behind the wait.
        compute_before(p.blocks[0]);
        wgmma_wait<0>(dp.blocks[0]);
        for_each_number<2, columns / 8>([&](int r, int n, int side) {
          p.at(r, n, side) *= dp.at(r, n, side) + queries.minus_mean(r, n, side);
        });
        pack_factors<T>(dz, p);
        wgmma_fence(sums.blocks[0], dz);
        start_weighted_rows<T, dim>(sums, dz, keys);
      }
      if (walk.done()) Block::owned_ring().release(round);
      wgmma_wait<0>(sums.blocks[0], dz);
      Block::ring().release(place.before());
      move_sums(sums, a.query_sums, own_rows(), a.k.dim);
    }
  }
};

}  // namespace annulus::kernels::gpu
