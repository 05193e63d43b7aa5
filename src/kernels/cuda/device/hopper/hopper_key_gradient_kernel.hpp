#pragma once
// Gradients of a tile of keys and values on compute capability 9.0: what key_gradient_kernel.hpp
// computes, by asynchronous products of warpgroups and tiles that come by themselves.
//
// A block computes one tile after another, as that of hopper_forward_kernel.hpp. An owner starts
// <k, q> and <v, dout> of a step behind the weighted queries of the step before; makes
// probabilities while the second is under way, starts the sums of dv with them, makes gradients of
// logits while these are under way, and starts the sums of dk.

#include "kernels/cuda/device/gradients.hpp"
#include "kernels/cuda/device/hopper/hopper_gradient_block.hpp"
#include "kernels/cuda/device/key_gradients.hpp"

namespace annulus::kernels::gpu {

/// Adds Sum_i scale_i dz_ij q_i to dk_j and Sum_i p_ij dout_i to dv_j. Logits and probabilities are
/// transposed here: rows are keys, columns are queries. T, dim: as in HopperGradientBlock.
template <class T, int dim, KeyGradients which>
struct HopperKeyGradientKernel
    : HopperGradientBlock<T, dim, hopper_key_gradient_shape(dim), query_numbers> {
  using Block = HopperGradientBlock<T, dim, hopper_key_gradient_shape(dim), query_numbers>;
  static constexpr int columns = Block::columns;
  using Queries = ColumnQueries<columns>;
  using Arguments = HopperGradientArguments;
  using typename Block::Dots;
  using typename Block::Place;
  using Walk = GroupWalk<columns>;
  static constexpr bool of_keys = which != KeyGradients::values;
  static constexpr bool of_values = which != KeyGradients::keys;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    Block::run([] {}, [&](int warp) { bring(a, warp); }, [&] { compute(a); });
  }

 private:
  ANNULUS_DEVICE static OwnRows rows_of(const Arguments& a, const Round& round) {
    const GradientArguments& of_all = a.gradient;
    return rows_of_round(a.order, round, of_all.tiles, 16, of_all.heads / of_all.group);
  }
  ANNULUS_DEVICE static Walk walk_of(const GradientArguments& a, const OwnRows& own) {
    return {a.tiles, own.work, own.head * a.group, a.group};
  }

  /// By two warps: tiles, and numbers of queries.
  ANNULUS_DEVICE static void bring(const Arguments& a, int warp) {
    if (warp > 1) return;
    Place place;
    for_each_round(a.order, [&](const Round& round) {
      const OwnRows own = rows_of(a, round);
      const Walk walk = walk_of(a.gradient, own);
      if (warp == 0) {
        const auto nothing = [](const Walk&) { return 0; };
        Block::bring_keys_and_steps(a, round, own, walk, place, nothing, [](int, const Place&) {});
      } else {
        Block::bring_numbers(a.gradient, walk, place);
      }
    });
  }

  ANNULUS_DEVICE static void compute(const Arguments& a) {
    Place place;
    for_each_round(a.order, [&](const Round& round) { compute_tile(a, round, place); });
  }

  ANNULUS_DEVICE static void compute_tile(const Arguments& arguments, const Round& round,
                                          Place& place) {
    const GradientArguments& a = arguments.gradient;
    // Made again wherever it is needed, for registers are few.
    const auto own_rows = [&] { return rows_of(arguments, round); };
    Walk walk = walk_of(a, own_rows());
    const SharedOffset owned = rows_of_warpgroup(warpgroup_index());
    Dots p;
    Dots dp;
    Factors<columns> weights;
    Factors<columns> dz;
    typename Block::Rows dk;
    typename Block::Rows dv;

    Block::owned_ring().wait_until_full(round);
    while (!walk.done()) {
      int step = 0;  // of a panel
      for (; step < Block::panel && !walk.done(); ++step, ++place.steps, walk.advance()) {
        const SharedOffset q = Block::first_tile(place);
        const SharedOffset dout = Block::second_tile(place);
        const Queries queries{Block::numbers_of(place)};
        Block::ring().wait_until_full(place);
        clear_rows_past<dim, columns>(walk.count(), q, dout);
        wgmma_fence(p.blocks[0], dp.blocks[0]);
        start_dots<T, dim, Block::rows>(p, owned, q);
        if constexpr (of_keys) {
          start_dots<T, dim, Block::rows>(dp, Block::second_owned + owned, dout);
          wgmma_wait<1>(p.blocks[0], dk.blocks[0], dz);
        } else {
          wgmma_wait<0>(p.blocks[0], dv.blocks[0], weights);
        }
        if (step > 0) Block::ring().release(place.before());
        to_probabilities(p, queries, walk, own_rows());
        if constexpr (of_values) {
          pack_factors<T>(weights, p);
          wgmma_fence(dv.blocks[0], weights);
          start_weighted_rows<T, dim>(dv, weights, dout);
        }
        if constexpr (of_keys) {
          // Where no sums of values wait for the powers, the compiler would move them.
          if constexpr (!of_values) compute_before(p.blocks[0]);
          wgmma_wait<of_values ? 1 : 0>(dp.blocks[0]);
          for_each_number<2, columns / 8>([&](int r, int n, int side) {
            const float gradient = dp.at(r, n, side) + queries.minus_mean(r, n, side);
            p.at(r, n, side) *= queries.scale(r, n, side) * gradient;
          });
          pack_factors<T>(dz, p);
          wgmma_fence(dk.blocks[0], dz);
          start_weighted_rows<T, dim>(dk, dz, q);
          if constexpr (of_values) wgmma_wait<1>(dv.blocks[0], weights);
        }
      }
      if (walk.done()) Block::owned_ring().release(round);
      wgmma_wait<0>(dk.blocks[0], dz, dv.blocks[0], weights);
      Block::ring().release(place.before());
      if constexpr (of_keys) move_sums(dk, a.dk, own_rows(), a.k.dim);
      if constexpr (of_values) move_sums(dv, a.dv, own_rows(), a.v.dim);
    }
  }
};

}  // namespace annulus::kernels::gpu
