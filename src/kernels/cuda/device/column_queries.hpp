#pragma once
// The numbers of queries that stream past, which lie in shared memory beside their rows.

#include "kernels/cuda/device/fragments.hpp"
#include "kernels/cuda/device/tile_copy.hpp"

namespace annulus::kernels::gpu {

/// Of each query: scale, both terms of lse, mean.
inline constexpr int query_numbers = 4;

/// Those of one step: an array of `columns` for each number, from `first` on.
template <int columns>
struct ColumnQueries {
  static constexpr SharedOffset bytes = columns * query_numbers * sizeof(float);

  SharedOffset first;

  /// Starts their copies, by `threads` threads, of which this is `thread`. 0 past the end.
  template <int threads, class Walk>
  ANNULUS_DEVICE void copy(const GradientArguments& a, const Walk& walk, int thread) const {
    const float* const tables[query_numbers] = {a.scale, a.lse, a.lse_low, a.mean};
    const Index row = walk.row();
    const int count = walk.count();
    ANNULUS_UNROLL
    for (int i = 0; i < query_numbers; ++i) {
      copy_numbers<columns, threads>(array(i), tables[i], a.heads, row, count, walk.head(), thread);
    }
  }

  [[nodiscard]] ANNULUS_DEVICE float scale(int, int n, int side) const { return at(0, n, side); }
  [[nodiscard]] ANNULUS_DEVICE float lse(int, int n, int side) const { return at(1, n, side); }
  [[nodiscard]] ANNULUS_DEVICE float lse_low(int, int n, int side) const { return at(2, n, side); }
  [[nodiscard]] ANNULUS_DEVICE float mean(int, int n, int side) const { return at(3, n, side); }

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
