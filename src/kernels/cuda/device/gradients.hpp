#pragma once
// Probabilities, made again in the backward pass, and the gradients of logits. Queries are rows in
// one kernel and columns in the other: each brings the numbers of a query as an object with
// scale(), lse(), lse_low() and minus_mean() of the lane's row r, column block n and side.

#include "kernels/cuda/device/logits.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {

/// e^((z - lse) - lse_low), 0 for z = -inf; lse_low in base 2. The difference is exact where logits
/// are large beside it, and one multiply-add brings it to base 2. A row that sees nothing has only
/// such z, and a finite lse, see QueryNumbersArguments.
[[nodiscard]] ANNULUS_DEVICE float probability(float z, float lse, float lse_low) {
  return exp2_approximate(fmaf(z - lse, log2_e, -lse_low));
}

/// <q, k> become probabilities p, 0 where the mask hides a pair.
template <int row_blocks, int columns, class Queries, class Walk>
ANNULUS_DEVICE void to_probabilities(Sums<row_blocks, columns>& dots, const Queries& queries,
                                     const Walk& walk, const OwnRows& own) {
  scale_logits(dots, [&](int r, int n, int side) { return queries.scale(r, n, side); });
  if (!walk.whole()) hide(dots, walk, own);
  for_each_number<2 * row_blocks, columns / 8>([&](int r, int n, int side) {
    float& p = dots.at(r, n, side);
    p = probability(p, queries.lse(r, n, side), queries.lse_low(r, n, side));
  });
}

/// The numbers of queries that are a lane's own rows; 0 past the end.
template <int rows>
class RowQueries {
 public:
  ANNULUS_DEVICE RowQueries(const GradientArguments& a, const OwnRows& own) {
    ANNULUS_UNROLL
    for (int r = 0; r < rows; ++r) {
      ANNULUS_UNROLL
      for (int i = 0; i < query_numbers; ++i) {
        numbers_[r][i] = own.has(r) ? a.queries[own.at(r) * query_numbers + i] : 0.0F;
      }
    }
  }

  [[nodiscard]] ANNULUS_DEVICE float scale(int r, int, int) const { return numbers_[r][0]; }
  [[nodiscard]] ANNULUS_DEVICE float lse(int r, int, int) const { return numbers_[r][1]; }
  [[nodiscard]] ANNULUS_DEVICE float lse_low(int r, int, int) const { return numbers_[r][2]; }
  [[nodiscard]] ANNULUS_DEVICE float minus_mean(int r, int, int) const { return numbers_[r][3]; }

 private:
  float numbers_[rows][query_numbers];
};

}  // namespace annulus::kernels::gpu
