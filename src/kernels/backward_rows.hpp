#pragma once
// What backward passes on the CPU have in common.

#include <vector>

#include "annulus/base/tensor_view.hpp"

namespace annulus::kernels {

/// <dout, out> for every row and head, (rows, H) row-major; `out` is of the accumulator type.
[[nodiscard]] std::vector<double> row_means(ConstTensorView dout, ConstTensorView out);

}  // namespace annulus::kernels
