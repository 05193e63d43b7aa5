#pragma once
// fp64 copies of tensors, for the code that values plainness over speed.

#include <vector>

#include "annulus/base/tensor_view.hpp"

namespace annulus::kernels {

/// A dense (rows, heads, dim) copy of a tensor of any type.
struct DenseCopy {
  std::vector<double> values;
  Index heads = 0;
  Index dim = 0;

  [[nodiscard]] const double* row(Index i, Index h) const {
    return values.data() + (i * heads + h) * dim;
  }
};

[[nodiscard]] DenseCopy copy_dense(ConstTensorView view);

}  // namespace annulus::kernels
