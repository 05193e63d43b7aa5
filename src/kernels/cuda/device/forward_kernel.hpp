#pragma once
// Attention of a tile of queries over all keys that it sees: one thread block for each tile and
// head, or for each tile and the query heads of a key head that share it.

#include "kernels/cuda/device/fma_products.hpp"
#include "kernels/cuda/device/own_rows.hpp"
#include "kernels/cuda/device/softmax.hpp"
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
    constexpr SharedOffset column_tile = shape.columns * row_bytes;
    const auto keys_at = [](int stage) {
      return static_cast<SharedOffset>(shape.rows() * row_bytes) +
             static_cast<SharedOffset>(stage) * 2 * column_tile;
    };
    // Made again where it is needed after tiles have begun to stream past, so that no register
    // holds what follows from it meanwhile.
    const auto own_rows = [&] {
      return OwnRows::of_block(a.tiles, shape.warp_rows(), a.heads, a.shared);
    };
    const OwnRows own = own_rows();
    const int key_head = own.head / a.group;

    copy_tile<T, dim, shape.rows(), threads>(0, a.q, own.work.row, own.work.rows * a.shared,
                                             own.head, a.shared);
    RowStates<rows_of_lane> states(a.state, own);
    Sums<shape.row_blocks, dim> values;
    const RowNumbers<rows_of_lane> scale(a.scale, own);

    const auto load = [&](const Walk& walk, int stage) {
      copy_step<T, dim, shape.columns, threads>(keys_at(stage), a.k, a.v, walk, key_head);
    };
    const auto compute = [&](const Walk& walk, int stage) {
      const SharedOffset keys = keys_at(stage);
      Sums<shape.row_blocks, shape.columns> logits;
      Products<T>::template add_dots<dim>(logits, static_cast<SharedOffset>(own.first * row_bytes),
                                          keys);
      scale_logits(logits, [&](int r, int, int) { return scale.at[r]; });
      if (!walk.whole()) hide(logits, walk, own);
      if constexpr (statistics == Statistics::on) {
        if (walk.meets_self()) {
          capture_self_logits(a.state.self_logit, own_rows(), logits, walk,
                              [](int, float logit) { return logit; });
        }
      }
      raise_maximum<statistics>(states, values, logits);
      weigh<statistics>(states, logits);
      Products<T>::template add_weighted_rows<dim>(values, logits, keys + column_tile);
    };
    const auto end_panel = [&] {
      const OwnRows rows = own_rows();
      float kept[rows_of_lane];
      states.template merge_into<statistics>(a.state, rows, kept);
      merge_sums(values, a.state.values, kept, rows, a.v.dim);
    };
    stream<shape.stages, panel_steps<T>(shape)>(Walk(a.tiles, own.work), load, compute, end_panel);
  }
};

}  // namespace annulus::kernels::gpu
