#pragma once
// Probabilities, made again in the backward pass, and the gradients of logits. Queries are rows in
// one kernel and columns in the other: each brings the numbers of a query as an object with
// scale(), lse(), lse_low() and mean() of the lane's row r, column block n and side.

#include "kernels/cuda/device/logits.hpp"

namespace annulus::kernels::gpu {

/// e^((z - lse) - lse_low), 0 for z = -inf. The first difference is exact where logits are large
/// beside it. A row that sees nothing has lse = -inf and only such z.
[[nodiscard]] ANNULUS_DEVICE float probability(float z, float lse, float lse_low) {
  return exp_approximate((z - (lse == minus_infinity ? 0.0F : lse)) - lse_low);
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

/// The numbers of queries that are a lane's own rows.
template <int rows>
class RowQueries {
 public:
  ANNULUS_DEVICE RowQueries(const GradientArguments& a, const OwnRows& own)
      : scale_(a.scale, own), lse_(a.lse, own), lse_low_(a.lse_low, own), mean_(a.mean, own) {}

  [[nodiscard]] ANNULUS_DEVICE float scale(int r, int, int) const { return scale_.at[r]; }
  [[nodiscard]] ANNULUS_DEVICE float lse(int r, int, int) const { return lse_.at[r]; }
  [[nodiscard]] ANNULUS_DEVICE float lse_low(int r, int, int) const { return lse_low_.at[r]; }
  [[nodiscard]] ANNULUS_DEVICE float mean(int r, int, int) const { return mean_.at[r]; }

 private:
  RowNumbers<rows> scale_;
  RowNumbers<rows> lse_;
  RowNumbers<rows> lse_low_;
  RowNumbers<rows> mean_;
};

}  // namespace annulus::kernels::gpu
