#pragma once
// All gradients of a tile of keys in five products: one thread block for each tile and key head,
// past which the queries of all heads that read it stream. Sums of keys and values have one owner;
// those of queries have additions of every block, in turns.

#include "kernels/cuda/device/all_gradients.hpp"
#include "kernels/cuda/device/column_queries.hpp"
#include "kernels/cuda/device/gradients.hpp"
#include "kernels/cuda/device/step_sums.hpp"
#include "kernels/cuda/device/step_turns.hpp"
#include "kernels/cuda/device/tensor_products.hpp"

namespace annulus::kernels::gpu {

/// Adds Sum_i scale_i dz_ij q_i to dk_j, Sum_i p_ij dout_i to dv_j, and Sum_j dz_ij k_j to the sums
/// of query i. Logits are transposed, as in KeyGradientKernel; their gradients go through shared
/// memory, rounded to T, from where every warp multiplies them with all keys of the tile for some
/// of the queries. T: a type of 16 bits.
template <class T, int dim>
struct GradientKernel {
  using Arguments = GradientArguments;
  static constexpr TileShape shape = gradient_shape(dim);
  static constexpr int threads = shape.threads();
  static constexpr int row_bytes = dim * static_cast<int>(sizeof(T));
  static constexpr int shared_bytes = gradient_shared_bytes(dim);
  static constexpr bool takes_turns = true;  ///< blocks wait for those that started before
  static constexpr int rows_of_lane = 2 * shape.row_blocks;
  using Walk = GroupWalk<shape.columns, true>;
  using Numbers = ColumnQueries<shape.columns>;
  using Fragments = Sums<shape.row_blocks, shape.columns>;
  using PackedFragments = PackedSums<shape.row_blocks, shape.columns>;
  using OwnSums = LaneStepSums<dim>;
  using QuerySums = Sums<1, OwnSums::columns>;
  static_assert(sums_all_gradients(sizeof(T), dim));

  // Shared memory: keys, values, gradients of logits, stages of queries and dout, their numbers.
  static constexpr SharedOffset own_tile = shape.rows() * row_bytes;
  static constexpr SharedOffset column_tile = shape.columns * row_bytes;
  static constexpr SharedOffset logits = 2 * own_tile;
  static constexpr SharedOffset queries =
      logits + shape.rows() * shape.columns * static_cast<int>(sizeof(T));
  static constexpr SharedOffset all_numbers = queries + shape.stages * 2 * column_tile;
  static constexpr SharedOffset ticket = all_numbers + shape.stages * Numbers::bytes;
  static_assert(ticket + 16 == shared_bytes);

  /// Where the streaming rows of a stage lie.
  struct Stage {
    SharedOffset q;
    SharedOffset dout;
    Numbers numbers;

    ANNULUS_DEVICE explicit Stage(int stage) {
      const auto before = static_cast<SharedOffset>(stage);
      q = queries + before * 2 * column_tile;
      dout = q + column_tile;
      numbers = {all_numbers + before * Numbers::bytes};
    }
  };

  /// Gradients of logits of the warp's keys to shared memory, a row for each key.
  ANNULUS_DEVICE static void share(const PackedFragments& dz, const OwnRows& own) {
    const int lane = lane_index_anew();
    const LaneChunks<T, shape.columns> row(logits, own.first + lane / 4);
    const auto place = static_cast<SharedOffset>(lane % 4 * 4);
    ANNULUS_UNROLL
    for (int r = 0; r < rows_of_lane; ++r) {
      ANNULUS_UNROLL
      for (int n = 0; n < shape.columns / 8; ++n) {
        store_shared(row.at(8 * r, n) + place, dz.words[r][n]);
      }
    }
  }

  /// The count of a step that this warp raises.
  [[nodiscard]] ANNULUS_DEVICE static int count_of(int step) {
    return step * shape.warps + warp_index();
  }

  ANNULUS_DEVICE static void add_to_step(const Arguments& a, int step, const QuerySums& sums) {
    float* const to = a.turns.sums + static_cast<Index>(step) * OwnSums::numbers +
                      OwnSums::first(warp_index(), lane_index());
    for_each_number<2, OwnSums::columns / 8>([&](int r, int n, int side) {
      add_global(to + (4 * n + 2 * r + side) * warp_lanes, sums.at(r, n, side));
    });
  }

  ANNULUS_DEVICE static void run(const Arguments& a) {
    const OwnRows own =
        rows_of_ticket(a, ticket_of_block(a.turns.tickets, ticket), shape.warp_rows());
    const auto k = static_cast<SharedOffset>(own.first * row_bytes);
    const SharedOffset v = own_tile + k;

    copy_tile<T, dim, shape.rows(), threads>(0, a.k, own.work.row, own.work.rows, own.head);
    copy_tile<T, dim, shape.rows(), threads>(own_tile, a.v, own.work.row, own.work.rows, own.head);
    Sums<shape.row_blocks, dim> dk;
    Sums<shape.row_blocks, dim> dv;
    StepTurns turns;

    const auto load = [&](const StepPlace& step, int stage) {
      const Stage to(stage);
      copy_step<T, dim, shape.columns, threads>(to.q, step, step.head, a.q, a.dout);
      to.numbers.template copy<threads>(a, step, thread_index_anew());
    };
    const auto compute = [&](const Walk& walk, int stage) {
      const Stage from(stage);
      const int step = step_of(a, walk);
      turns.look(a.turns.counts, count_of(step));
      Fragments dz;
      Products<T>::template add_dots<dim>(dz, k, from.q);
      to_probabilities(dz, from.numbers, walk, own);
      Products<T>::template add_weighted_rows<dim>(dv, dz, from.dout);
      to_gradients(dz, v, from);
      leave_out_what_is_not_there(dz, own);
      auto rounded = pack_sums<T>(dz);
      share(rounded, own);
      if (a.one_scale == 0) rounded = scaled_gradients(dz, from.numbers);
      sync_threads();
      // Between the look and what follows from it lies a barrier, which the assembler does not move
      // the look behind.
      Products<T>::template add_weighted_rows<dim>(dk, rounded, from.q);
      turns.end_last(a.turns.counts, walk.visit().turns);
      QuerySums sums;
      Products<T>::template add_transposed<dim, shape.rows(), shape.columns>(
          sums, logits, OwnSums::first_row(warp_index()), 0, OwnSums::first_column(warp_index()));
      turns.wait(a.turns.counts, count_of(step), walk.visit().turns);
      add_to_step(a, step, sums);
    };
    const auto end_panel = [&] {
      turns.end_last(a.turns.counts, 0);
      const int number = static_cast<int>(load_shared<std::uint32_t>(ticket));
      const auto again = rows_of_ticket(a, number, shape.warp_rows());
      if (a.one_scale != 0) scale_sums(dk, a.one_scale);
      move_sums(dk, a.dk, again, a.k.dim);
      move_sums(dv, a.dv, again, a.v.dim);
    };
    stream<shape.stages, panel_steps<T>(shape)>(
        Walk(a.tiles, own.work, own.head * a.group, a.group), load, compute, end_panel);
  }

 private:
  /// Probabilities become gradients of logits, without the scale of the query.
  ANNULUS_DEVICE static void to_gradients(Fragments& p, SharedOffset v, const Stage& from) {
    Fragments dp;
    for_each_number<rows_of_lane, shape.columns / 8>(
        [&](int r, int n, int side) { dp.at(r, n, side) = from.numbers.minus_mean(r, n, side); });
    Products<T>::template add_dots<dim>(dp, v, from.dout);
    for_each_number<rows_of_lane, shape.columns / 8>(
        [&](int r, int n, int side) { p.at(r, n, side) *= dp.at(r, n, side); });
  }

  /// Keys past the end of the tile are zeros, and so are their logits, which may be far above all
  /// that a query sees: infinite gradients, and sums of queries that are NaN.
  ANNULUS_DEVICE static void leave_out_what_is_not_there(Fragments& dz, const OwnRows& own) {
    if (own.work.rows == shape.rows()) return;
    for_each_number<rows_of_lane, shape.columns / 8>([&](int r, int n, int side) {
      if (!own.has(r)) dz.at(r, n, side) = 0;
    });
  }

  [[nodiscard]] ANNULUS_DEVICE static PackedFragments scaled_gradients(Fragments dz,
                                                                       const Numbers& numbers) {
    for_each_number<rows_of_lane, shape.columns / 8>(
        [&](int r, int n, int side) { dz.at(r, n, side) *= numbers.scale(r, n, side); });
    return pack_sums<T>(dz);
  }
};

}  // namespace annulus::kernels::gpu
