#pragma once
// Attention of a tile of queries over all keys that it sees: one thread block for each tile and
// head, or for each tile and the query heads of a key head that share it.

#include "kernels/cuda/device/dot_softmax.hpp"
#include "kernels/cuda/device/fma_products.hpp"
#include "kernels/cuda/device/own_rows.hpp"
#include "kernels/cuda/device/tile_copy.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {

/// T: element type of q, k and v. dim: one of head_dims, at least d and d_v. few: whether tiles
/// have the rows of few_rows_shape.
template <class T, int dim, Statistics statistics, bool few>
struct ForwardKernel {
  using Arguments = ForwardArguments;
  static constexpr TileShape shape =
      few ? few_rows_shape(sizeof(T), dim) : forward_shape(sizeof(T), dim);
  static constexpr int threads = shape.threads();
  static constexpr int row_bytes = dim * static_cast<int>(sizeof(T));
  static constexpr int shared_bytes = shape.shared_bytes(row_bytes, 1);
  static_assert(shared_bytes <= most_shared_bytes);
  static constexpr int rows_of_lane = 2 * shape.row_blocks;
  using Walk = TileWalk<shape.columns>;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    constexpr SharedOffset keys_here = shape.rows() * row_bytes;
    constexpr SharedOffset values_here = keys_here + shape.columns * row_bytes;
    // Made again where it is needed after tiles have begun to stream past, so that no register
    // holds what follows from it meanwhile.
    const auto own_rows = [&] {
      return OwnRows::of_block(a.tiles, shape.warp_rows(), a.heads, a.shared);
    };
    const OwnRows own = own_rows();
    const int key_head = own.head / a.group;

    copy_tile<T, dim, shape.rows(), threads>(0, a.q, own.work.row, own.work.rows * a.shared,
                                             own.head, a.shared);
    const DotScale<rows_of_lane> scale(a.scale, own);
    auto states = states_of_dots(a.state, own, scale);
    Sums<shape.row_blocks, shape.columns> dots;
    Sums<shape.row_blocks, dim> values;

    const auto load_keys = [&](const StepPlace& step) {
      copy_step<T, dim, shape.columns, threads>(keys_here, step, key_head, a.k);
    };
    const auto load_values = [&](const StepPlace& step) {
      copy_step<T, dim, shape.columns, threads>(values_here, step, key_head, a.v);
    };
    const auto multiply = [&](const Walk&) {
      dots = {};
      Products<T>::template add_dots<dim>(dots, static_cast<SharedOffset>(own.first * row_bytes),
                                          keys_here);
    };
    const auto add = [&](const Walk& walk) {
      if constexpr (statistics == Statistics::on) {
        if (walk.meets_self()) capture_self_logits(a, own_rows(), dots, walk);
      }
      if (scale.turns) scale.turn_dots(dots, a.scale, own_rows());
      if (!walk.whole()) hide(dots, walk, own_rows());
      raise_dot_maximum<statistics>(states, dots, scale, [&](const float(&factors)[rows_of_lane]) {
        scale_rows(values, factors);
      });
      weigh_dots<statistics>(states, dots, scale);
      Products<T>::template add_weighted_rows<dim>(values, dots, values_here);
    };
    stream_apart<panel_steps<T>(shape)>(
        Walk(a.tiles, own.work), load_keys, load_values, multiply, add,
        [&] { end_panel<statistics>(states, values, a, own_rows()); });
  }
};

}  // namespace annulus::kernels::gpu
