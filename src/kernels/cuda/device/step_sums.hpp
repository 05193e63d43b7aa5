#pragma once
// Sums of the rows of one step and head that thread blocks add to, one after the other.

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/device/fragments.hpp"
#include "kernels/cuda/hopper_shape.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {

/// `rows` by `dim`, shared out among the warps of a block: 16 rows each, and of these a part of the
/// columns. Numbers lie in the order in which lanes hold them, `together` of a lane side by side:
/// those that a warp adds at once lie end to end, and so do those of neighbouring warps.
template <int dim, int rows, int warps, int together>
struct StepSums {
  static constexpr int warp_count = warps;
  static constexpr int row_parts = rows / 16;
  static constexpr int column_parts = warps / row_parts;
  static constexpr int columns = dim / column_parts;  ///< of a warp
  static constexpr int lane_numbers = columns / 2;
  static constexpr int numbers = rows * dim;
  static_assert(row_parts * column_parts == warps && columns % 16 == 0);

  /// The rows and columns of a warp.
  [[nodiscard]] ANNULUS_DEVICE static int first_row(int warp) { return warp % row_parts * 16; }
  [[nodiscard]] ANNULUS_DEVICE static int first_column(int warp) {
    return warp / row_parts * columns;
  }

  /// Where number 0 of a lane lies; number i, a multiple of `together`, lies i * warp_lanes
  /// further. i: 4 n + 2 r + side, as in Sums.
  [[nodiscard]] ANNULUS_DEVICE static int first(int warp, int lane) {
    return warp * lane_numbers * warp_lanes + lane * together;
  }

  struct Place {
    int row;
    int column;
  };
  /// The other way around.
  [[nodiscard]] ANNULUS_DEVICE static Place place_of(int at) {
    const int lane = at / together % warp_lanes;
    const int i = at / (together * warp_lanes) * together % lane_numbers + at % together;
    const int warp = at / warp_lanes / lane_numbers;
    return {first_row(warp) + i / 2 % 2 * 8 + lane / 4,
            first_column(warp) + i / 4 * 8 + lane % 4 * 2 + i % 2};
  }
};

/// Those of GradientKernel, whose lanes add one number each.
template <int dim>
using LaneStepSums = StepSums<dim, gradient_shape(dim).columns, gradient_shape(dim).warps, 1>;

/// Those of HopperGradientKernel: four warps have 64 columns. A lane writes 16 bytes at once.
template <int dim>
using OwnerStepSums = StepSums<dim, hopper_gradient_shape(dim).columns, dim / 64 * 4, 4>;

/// Adds them to the sums of their rows. Sums: a StepSums.
template <class Sums>
struct FoldStepsKernel {
  using Arguments = FoldStepsArguments;
  static constexpr int threads = 256;
  static constexpr int shared_bytes = 0;

  ANNULUS_DEVICE static void run(const Arguments& a) {
    const StepRows step = a.steps[block_x()];
    const float* sums =
        a.sums + (static_cast<Index>(block_x()) * a.heads + block_y()) * Sums::numbers;
    for (int i = thread_index(); i < Sums::numbers; i += threads) {
      const auto [row, column] = Sums::place_of(i);
      if (row >= step.rows || column >= a.query_dim) continue;
      const Index at = static_cast<Index>(step.row + row) * a.heads + block_y();
      a.query_sums[at * a.query_dim + column] += static_cast<double>(sums[i]);
    }
  }
};

}  // namespace annulus::kernels::gpu
