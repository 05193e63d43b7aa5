#pragma once
// The two passes of the reference backend: fp64, plain loops.

#include <memory>
#include <vector>

#include "annulus/kernels/kernel.hpp"
#include "kernels/reference/dense_copy.hpp"

namespace annulus::kernels {

/// A forward pass over copies in fp64.
[[nodiscard]] std::unique_ptr<ForwardPass> reference_forward(const Queries& queries,
                                                             const PassOptions& options);

/// A backward pass over copies in fp64.
[[nodiscard]] std::unique_ptr<BackwardPass> reference_backward(const BackwardQueries& queries,
                                                               const PassOptions& options);

/// Those of queries q (rows, H, d), (rows, H) row-major.
[[nodiscard]] inline std::vector<double> all_scales(const LogitScales& scale, ConstTensorView q) {
  ensure(scale.has_shape(q.rows, q.heads), "one scale per query row and head");
  std::vector<double> all;
  for (Index i = 0; i < q.rows; ++i) {
    for (Index h = 0; h < q.heads; ++h) all.push_back(scale.at(i, h));
  }
  return all;
}

/// <a, b>
[[nodiscard]] inline double reference_dot(const double* a, const double* b, Index size) {
  double sum = 0;
  for (Index c = 0; c < size; ++c) sum += a[c] * b[c];
  return sum;
}

}  // namespace annulus::kernels
