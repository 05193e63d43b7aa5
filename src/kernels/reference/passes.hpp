#pragma once
// The two passes of the reference backend: fp64, plain loops.

#include <memory>

#include "annulus/kernels/kernel.hpp"
#include "kernels/reference/dense_copy.hpp"

namespace annulus::kernels {

/// A forward pass over copies in fp64.
[[nodiscard]] std::unique_ptr<ForwardPass> reference_forward(const Queries& queries,
                                                             const PassOptions& options);

/// A backward pass over copies in fp64.
[[nodiscard]] std::unique_ptr<BackwardPass> reference_backward(const BackwardQueries& queries,
                                                               const PassOptions& options);

/// <a, b>
[[nodiscard]] inline double reference_dot(const double* a, const double* b, Index size) {
  double sum = 0;
  for (Index c = 0; c < size; ++c) sum += a[c] * b[c];
  return sum;
}

}  // namespace annulus::kernels
