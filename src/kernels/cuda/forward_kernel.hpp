#pragma once
// Attention of a tile of queries over all keys that it sees: one thread block for each tile and
// head.

#include "kernels/cuda/fma_products.hpp"
#include "kernels/cuda/row_sums.hpp"
#include "kernels/cuda/softmax.hpp"
#include "kernels/cuda/tile_copy.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {

/// T: element type of q, k and v. dim: one of head_dims, at least d and d_v.
template <class T, int dim, Statistics statistics>
struct ForwardKernel {
  static constexpr TileShape shape = forward_shape(sizeof(T), dim);
  static constexpr int row_bytes = dim * static_cast<int>(sizeof(T));
  static constexpr int shared_bytes = shape.shared_bytes(row_bytes, 1);
  using Walk = TileWalk<shape.columns>;

  ANNULUS_DEVICE static void run(const ForwardArguments& a) {
    constexpr int threads = shape.threads();
    constexpr SharedOffset column_tile = shape.columns * row_bytes;
    const TileWork work = a.tiles.work[block_x()];
    const int head = block_y();
    const int key_head = head / a.group;
    const int warp_row = warp_index() * shape.warp_rows();
    const auto keys_at = [](int stage) {
      return static_cast<SharedOffset>(shape.rows() * row_bytes) +
             static_cast<SharedOffset>(stage) * 2 * column_tile;
    };

    copy_tile<T, dim, shape.rows(), threads>(0, a.q, work.row, work.rows, head);
    RowStates<2 * shape.row_blocks> states;
    states.template load<statistics>(a.state, work, warp_row, a.heads, head);
    Sums<shape.row_blocks, dim> values;
    load_sums(values, a.state.values, work, warp_row, a.heads, head, a.v.dim);
    const RowNumbers<2 * shape.row_blocks> scale(a.scale, work, warp_row, a.heads, head);

    const auto load = [&](const Walk& walk, int stage) {
      const SharedOffset keys = keys_at(stage);
      copy_tile<T, dim, shape.columns, threads>(keys, a.k, walk.row(), walk.count(), key_head);
      copy_tile<T, dim, shape.columns, threads>(keys + column_tile, a.v, walk.row(), walk.count(),
                                                key_head);
    };
    const auto compute = [&](const Walk& walk, int stage) {
      const SharedOffset keys = keys_at(stage);
      Sums<shape.row_blocks, shape.columns> logits;
      Products<T>::template add_dots<dim>(logits, static_cast<SharedOffset>(warp_row * row_bytes),
                                          keys);
      for_each_number<2 * shape.row_blocks, shape.columns / 8>(
          [&](int r, int n, int side) { logits.at(r, n, side) *= scale.at[r]; });
      if (!walk.whole()) hide(logits, walk, warp_row);
      if constexpr (statistics == Statistics::on) {
        if (walk.meets_self()) capture_self_logits(states, logits, walk, warp_row);
      }
      raise_maximum<statistics>(states, values, logits);
      weigh<statistics>(states, logits);
      Products<T>::template add_weighted_rows<dim>(values, logits, keys + column_tile);
    };
    stream<shape.stages>(Walk(a.tiles, work, head, 1), load, compute);

    states.template store<statistics>(a.state, work, warp_row, a.heads, head);
    store_sums(values, a.state.values, work, warp_row, a.heads, head, a.v.dim);
  }
};

}  // namespace annulus::kernels::gpu
