#pragma once
// The numbers of queries that stream past, which lie in shared memory beside their rows.

#include "kernels/cuda/device/fragments.hpp"
#include "kernels/cuda/device/tile_copy.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {

/// Those of one step: an array of `columns` for each number, from `first` on.
template <int columns>
struct ColumnQueries {
  static constexpr SharedOffset bytes = columns * query_numbers * sizeof(float);

  SharedOffset first;

  /// Starts their copies, by `threads` threads, of which this is `thread`, out of the table of
  /// all queries. 0 past the end.
  template <int threads>
  ANNULUS_DEVICE void copy(const GradientArguments& a, const StepPlace& step, int thread) const {
    // Neighbouring threads read neighbouring numbers; a thread has the same one of every row.
    static_assert(threads % query_numbers == 0);
    constexpr int rows_at_once = threads / query_numbers;
    const int number = thread % query_numbers;
    const int first_row = thread / query_numbers;
    const SharedOffset to = array(number) + static_cast<SharedOffset>(4 * first_row);
    Index from = (Index{step.row + first_row} * a.heads + step.head) * query_numbers + number;
    ANNULUS_UNROLL
    for (int row = 0; row < columns; row += rows_at_once) {
      if (row + first_row >= columns) return;
      const bool there = row + first_row < step.left;
      cp_async<4>(to + static_cast<SharedOffset>(4 * row), a.queries + (there ? from : 0),
                  there ? 4 : 0);
      from += Index{rows_at_once * query_numbers} * a.heads;
    }
  }

  [[nodiscard]] ANNULUS_DEVICE float scale(int, int n, int side) const { return at(0, n, side); }
  [[nodiscard]] ANNULUS_DEVICE float lse(int, int n, int side) const { return at(1, n, side); }
  [[nodiscard]] ANNULUS_DEVICE float lse_low(int, int n, int side) const { return at(2, n, side); }
  [[nodiscard]] ANNULUS_DEVICE float minus_mean(int, int n, int side) const {
    return at(3, n, side);
  }

 private:
  [[nodiscard]] ANNULUS_DEVICE SharedOffset array(int i) const {
    return first + static_cast<SharedOffset>(i) * (bytes / query_numbers);
  }
  /// Both sides are read at once, and again for the other rows: the compiler makes one load of it.
  [[nodiscard]] ANNULUS_DEVICE float at(int i, int n, int side) const {
    return load_shared<Vector<2>>(array(i) + static_cast<SharedOffset>(4 * column_of_lane(n, 0)))
        .at[side];
  }
};

}  // namespace annulus::kernels::gpu
