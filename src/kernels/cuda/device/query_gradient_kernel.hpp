#pragma once
// Gradients of a tile of queries: one thread block for each tile and head, past which all keys that
// the tile sees stream.

#include "kernels/cuda/device/fma_products.hpp"
#include "kernels/cuda/device/gradients.hpp"
#include "kernels/cuda/device/tile_copy.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {

/// Adds Sum_j dz_ij k_j to the sums of every query. T, dim: as in ForwardKernel.
template <class T, int dim>
struct QueryGradientKernel {
  using Arguments = GradientArguments;
  static constexpr TileShape shape = query_gradient_shape(sizeof(T), dim);
  static constexpr int threads = shape.threads();
  static constexpr int row_bytes = dim * static_cast<int>(sizeof(T));
  static constexpr int shared_bytes = shape.shared_bytes(row_bytes, 2);
  static_assert(shared_bytes <= most_shared_bytes);
  static constexpr int rows_of_lane = 2 * shape.row_blocks;
  using Walk = TileWalk<shape.columns>;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    constexpr SharedOffset own_tile = shape.rows() * row_bytes;
    constexpr SharedOffset column_tile = shape.columns * row_bytes;
    const auto keys_at = [](int stage) {
      return 2 * own_tile + static_cast<SharedOffset>(stage) * 2 * column_tile;
    };
    const auto own_rows = [&] { return OwnRows::of_block(a.tiles, shape.warp_rows(), a.heads); };
    const OwnRows own = own_rows();
    const int key_head = own.head / a.group;
    const auto q = static_cast<SharedOffset>(own.first * row_bytes);
    const SharedOffset dout = own_tile + q;

    copy_tile<T, dim, shape.rows(), threads>(0, a.q, own.work.row, own.work.rows, own.head);
    copy_tile<T, dim, shape.rows(), threads>(own_tile, a.dout, own.work.row, own.work.rows,
                                             own.head);
    const RowQueries<rows_of_lane> queries(a, own);
    Sums<shape.row_blocks, dim> sums;

    const auto load = [&](const StepPlace& step, int stage) {
      copy_step<T, dim, shape.columns, threads>(keys_at(stage), step, key_head, a.k, a.v);
    };
    const auto compute = [&](const Walk& walk, int stage) {
      const SharedOffset keys = keys_at(stage);
      Sums<shape.row_blocks, shape.columns> dz;
      Products<T>::template add_dots<dim>(dz, q, keys);
      to_probabilities(dz, queries, walk, own);
      Sums<shape.row_blocks, shape.columns> dp;
      Products<T>::template add_dots<dim>(dp, dout, keys + column_tile);
      for_each_number<rows_of_lane, shape.columns / 8>([&](int r, int n, int side) {
        dz.at(r, n, side) *= dp.at(r, n, side) + queries.minus_mean(r, n, side);
      });
      Products<T>::template add_weighted_rows<dim>(sums, dz, keys);
    };
    const auto end_panel = [&] { move_sums(sums, a.query_sums, own_rows(), a.k.dim); };
    stream<shape.stages, panel_steps<T>(shape)>(Walk(a.tiles, own.work), load, compute, end_panel);
  }
};

}  // namespace annulus::kernels::gpu
