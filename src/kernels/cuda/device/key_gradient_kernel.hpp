#pragma once
// Gradients of a tile of keys and values: one thread block for each tile and key head, past which
// the queries of all heads that read it stream, so that every sum has one owner and one order.

#include "kernels/cuda/device/column_queries.hpp"
#include "kernels/cuda/device/fma_products.hpp"
#include "kernels/cuda/device/gradients.hpp"
#include "kernels/cuda/device/key_gradients.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {

/// Adds Sum_i scale_i dz_ij q_i to dk_j and Sum_i p_ij dout_i to dv_j. Logits and probabilities are
/// transposed here: rows are keys, columns are queries. T, dim: as in ForwardKernel.
template <class T, int dim, KeyGradients which>
struct KeyGradientKernel {
  using Arguments = GradientArguments;
  static constexpr TileShape shape = key_gradient_shape(sizeof(T), dim);
  static constexpr int threads = shape.threads();
  static constexpr int row_bytes = dim * static_cast<int>(sizeof(T));
  static constexpr int shared_bytes = key_gradient_shared_bytes(sizeof(T), dim);
  static_assert(shared_bytes <= most_shared_bytes);
  static constexpr int rows_of_lane = 2 * shape.row_blocks;
  using Walk = GroupWalk<shape.columns>;

  /// Where the streaming rows of a stage lie. Numbers lie behind the tiles of all stages, for tiles
  /// start at multiples of 128 bytes.
  struct Stage {
    SharedOffset q;
    SharedOffset dout;
    ColumnQueries<shape.columns> numbers;

    ANNULUS_DEVICE explicit Stage(int stage) {
      constexpr SharedOffset tile = shape.columns * row_bytes;
      constexpr SharedOffset first = 2 * shape.rows() * row_bytes;
      const auto before = static_cast<SharedOffset>(stage);
      q = first + before * 2 * tile;
      dout = q + tile;
      numbers = {first + shape.stages * 2 * tile + before * ColumnQueries<shape.columns>::bytes};
    }
  };

  ANNULUS_DEVICE static void run(const Arguments& a) {
    constexpr SharedOffset own_tile = shape.rows() * row_bytes;
    const auto own_rows = [&] {
      return OwnRows::of_block(a.tiles, shape.warp_rows(), a.heads / a.group);
    };
    const OwnRows own = own_rows();
    const auto k = static_cast<SharedOffset>(own.first * row_bytes);
    const SharedOffset v = own_tile + k;

    copy_tile<T, dim, shape.rows(), threads>(0, a.k, own.work.row, own.work.rows, own.head);
    copy_tile<T, dim, shape.rows(), threads>(own_tile, a.v, own.work.row, own.work.rows, own.head);
    Sums<shape.row_blocks, dim> dk;
    Sums<shape.row_blocks, dim> dv;

    const auto load = [&](const StepPlace& step, int stage) {
      const Stage to(stage);
      copy_step<T, dim, shape.columns, threads>(to.q, step, step.head, a.q, a.dout);
      to.numbers.template copy<threads>(a, step, thread_index());
    };
    const auto compute = [&](const Walk& walk, int stage) {
      const Stage from(stage);
      Sums<shape.row_blocks, shape.columns> p;
      Products<T>::template add_dots<dim>(p, k, from.q);
      to_probabilities(p, from.numbers, walk, own);
      if constexpr (which != KeyGradients::keys) {
        Products<T>::template add_weighted_rows<dim>(dv, p, from.dout);
      }
      if constexpr (which != KeyGradients::values) {
        Sums<shape.row_blocks, shape.columns> dp;
        Products<T>::template add_dots<dim>(dp, v, from.dout);
        for_each_number<rows_of_lane, shape.columns / 8>([&](int r, int n, int side) {
          const float dz = dp.at(r, n, side) + from.numbers.minus_mean(r, n, side);
          p.at(r, n, side) *= from.numbers.scale(r, n, side) * dz;
        });
        Products<T>::template add_weighted_rows<dim>(dk, p, from.q);
      }
    };
    const auto end_panel = [&] {
      if constexpr (which != KeyGradients::values) move_sums(dk, a.dk, own_rows(), a.k.dim);
      if constexpr (which != KeyGradients::keys) move_sums(dv, a.dv, own_rows(), a.v.dim);
    };
    stream<shape.stages, panel_steps<T>(shape)>(
        Walk(a.tiles, own.work, own.head * a.group, a.group), load, compute, end_panel);
  }
};

}  // namespace annulus::kernels::gpu
