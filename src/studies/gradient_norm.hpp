#pragma once
// The size of the input gradient of one attention layer, exactly.

#include "studies/rows.hpp"

namespace annulus::studies {

/// A layer X' = A Y + residual X with Y = X / |X| by rows, A = softmax(beta Y Y^T).
struct GradientNormInputs {
  const LocalRows& y;                ///< the rank's unit tokens, in the order of ranks
  const std::vector<double>& norms;  ///< |x_i| of the rank's tokens
  Index n;                           ///< tokens of all ranks
  double beta;
  double residual;
};

/// Collective. eta = |dX'/dX|_F^2 / (n d), every entry of the Jacobian counted, in
/// O(n^2 (d + min(n, d^2))) operations and without forming it; docs/theory.md derives the sums.
/// Each rank holds all n tokens and works on its own queries with `threads` threads.
[[nodiscard]] double gradient_norm(comm::Communicator& communicator,
                                   const GradientNormInputs& inputs, int threads);

}  // namespace annulus::studies
