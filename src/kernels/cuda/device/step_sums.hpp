#pragma once
// Sums of the rows of one step and head that thread blocks add to, one after the other.

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/device/fragments.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {

/// Rows by `dim`, shared out among the warps of a block: 16 rows each, and of these a part of the
/// columns. Numbers lie in the order in which lanes hold them: those that a warp adds at once lie
/// side by side.
template <int dim>
struct StepSums {
  static constexpr TileShape shape = gradient_shape(dim);
  static constexpr int row_parts = shape.columns / 16;
  static constexpr int column_parts = shape.warps / row_parts;
  static constexpr int columns = dim / column_parts;  ///< of a warp
  static constexpr int lane_numbers = columns / 2;
  static constexpr int numbers = shape.columns * dim;
  static_assert(row_parts * column_parts == shape.warps && columns % 16 == 0);

  /// The rows and columns of a warp.
  [[nodiscard]] ANNULUS_DEVICE static int first_row(int warp) { return warp / column_parts * 16; }
  [[nodiscard]] ANNULUS_DEVICE static int first_column(int warp) {
    return warp % column_parts * columns;
  }

  /// Where number 0 of a lane lies; number i lies i * warp_lanes further. i: 4 n + 2 r + side, as
  /// in Sums.
  [[nodiscard]] ANNULUS_DEVICE static int first(int warp, int lane) {
    return warp * lane_numbers * warp_lanes + lane;
  }

  struct Place {
    int row;
    int column;
  };
  /// The other way around.
  [[nodiscard]] ANNULUS_DEVICE static Place place_of(int at) {
    const int lane = at % warp_lanes;
    const int i = at / warp_lanes % lane_numbers;
    const int warp = at / warp_lanes / lane_numbers;
    return {first_row(warp) + i / 2 % 2 * 8 + lane / 4,
            first_column(warp) + i / 4 * 8 + lane % 4 * 2 + i % 2};
  }
};

/// Adds them to the sums of their rows.
template <int dim>
struct FoldStepsKernel {
  using Arguments = FoldStepsArguments;
  static constexpr int threads = 256;
  static constexpr int shared_bytes = 0;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    const StepRows step = a.steps[block_x()];
    const float* sums =
        a.sums + (static_cast<Index>(block_x()) * a.heads + block_y()) * StepSums<dim>::numbers;
    for (int i = thread_index(); i < StepSums<dim>::numbers; i += threads) {
      const auto [row, column] = StepSums<dim>::place_of(i);
      if (row >= step.rows || column >= a.query_dim) continue;
      const Index at = static_cast<Index>(step.row + row) * a.heads + block_y();
      a.query_sums[at * a.query_dim + column] += static_cast<double>(sums[i]);
    }
  }
};

}  // namespace annulus::kernels::gpu
