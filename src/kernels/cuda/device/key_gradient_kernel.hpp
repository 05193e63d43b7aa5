#pragma once
// Gradients of a tile of keys and values: one thread block for each tile and key head, past which
// the queries of all heads that read it stream, so that every sum has one owner and one order.

#include "kernels/cuda/device/fma_products.hpp"
#include "kernels/cuda/device/gradients.hpp"
#include "kernels/cuda/device/tile_copy.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {

/// Which of the two gradients one kernel sums: both fill 2 d / 2 registers a thread, which is too
/// much for d = 256.
enum class KeyGradients { both, keys, values };

/// The part of the kernels of key gradients at a head dimension: `both`, or the two in turn.
[[nodiscard]] constexpr bool sums_both(int dim) {
  return dim <= 128;
}

/// Adds Sum_i scale_i dz_ij q_i to dk_j and Sum_i p_ij dout_i to dv_j. Logits and probabilities are
/// transposed here: rows are keys, columns are queries. T, dim: as in ForwardKernel.
template <class T, int dim, KeyGradients which>
struct KeyGradientKernel {
  using Arguments = GradientArguments;
  static constexpr TileShape shape = key_gradient_shape(sizeof(T), dim);
  static constexpr int threads = shape.threads();
  static constexpr int row_bytes = dim * static_cast<int>(sizeof(T));
  static constexpr int shared_bytes = shape.shared_bytes(row_bytes, 2, 4);
  static_assert(shared_bytes <= most_shared_bytes);
  static constexpr int rows_of_lane = 2 * shape.row_blocks;
  using Walk = GroupWalk<shape.columns>;

  /// Where the streaming rows of a stage lie.
  struct Stage {
    SharedOffset q;
    SharedOffset dout;
    SharedOffset scale;
    SharedOffset lse;
    SharedOffset lse_low;
    SharedOffset mean;

    /// Numbers lie behind the tiles of all stages, for tiles start at multiples of 128 bytes.
    ANNULUS_DEVICE explicit Stage(int stage) {
      constexpr SharedOffset tile = shape.columns * row_bytes;
      constexpr SharedOffset numbers = shape.columns * sizeof(float);
      constexpr SharedOffset first = 2 * shape.rows() * row_bytes;
      q = first + static_cast<SharedOffset>(stage) * 2 * tile;
      dout = q + tile;
      scale = first + shape.stages * 2 * tile + static_cast<SharedOffset>(stage) * 4 * numbers;
      lse = scale + numbers;
      lse_low = lse + numbers;
      mean = lse_low + numbers;
    }
  };

  /// The numbers of the lane's two columns in column block n.
  [[nodiscard]] ANNULUS_DEVICE static Vector<2> of_columns(SharedOffset numbers, int n) {
    return load_shared<Vector<2>>(numbers + static_cast<SharedOffset>(4 * column_of_lane(n, 0)));
  }

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

    const auto load = [&](const Walk& walk, int stage) {
      const Stage to(stage);
      const auto copy_table = [&](SharedOffset numbers, const float* table) {
        copy_numbers<shape.columns, threads>(numbers, table, a.heads, walk.row(), walk.count(),
                                             walk.head());
      };
      copy_step<T, dim, shape.columns, threads>(to.q, a.q, a.dout, walk, walk.head());
      copy_table(to.scale, a.scale);
      copy_table(to.lse, a.lse);
      copy_table(to.lse_low, a.lse_low);
      copy_table(to.mean, a.mean);
    };
    const auto compute = [&](const Walk& walk, int stage) {
      const Stage from(stage);
      Sums<shape.row_blocks, shape.columns> p;
      Products<T>::template add_dots<dim>(p, k, from.q);
      scale_logits(p, [&](int, int n, int side) { return of_columns(from.scale, n).at[side]; });
      if (!walk.whole()) hide(p, walk, own);
      for_each_number<rows_of_lane, shape.columns / 8>([&](int r, int n, int side) {
        p.at(r, n, side) = probability(p.at(r, n, side), of_columns(from.lse, n).at[side],
                                       of_columns(from.lse_low, n).at[side]);
      });
      if constexpr (which != KeyGradients::keys) {
        Products<T>::template add_weighted_rows<dim>(dv, p, from.dout);
      }
      if constexpr (which != KeyGradients::values) {
        Sums<shape.row_blocks, shape.columns> dp;
        Products<T>::template add_dots<dim>(dp, v, from.dout);
        for_each_number<rows_of_lane, shape.columns / 8>([&](int r, int n, int side) {
          const float dz = dp.at(r, n, side) - of_columns(from.mean, n).at[side];
          p.at(r, n, side) *= of_columns(from.scale, n).at[side] * dz;
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
