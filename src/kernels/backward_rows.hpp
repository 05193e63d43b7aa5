#pragma once
// What backward passes on the CPU have in common.

#include <span>
#include <vector>

#include "annulus/kernels/kernel.hpp"

namespace annulus::kernels {

/// <dout, out> for every row and head, (rows, H) row-major: as given, or of what is given.
[[nodiscard]] std::vector<double> row_means(const BackwardQueries& queries);

/// Writes such means, see BackwardPass::write_mean.
void write_means(TensorView to, std::span<const double> means);

}  // namespace annulus::kernels
