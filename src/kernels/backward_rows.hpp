#pragma once
// What backward passes on the CPU have in common.

#include <span>
#include <vector>

#include "annulus/kernels/kernel.hpp"

namespace annulus::kernels {

/// Throws Error unless `queries` have means, or outputs of the shape of their gradients.
void check_means(const BackwardQueries& queries);

/// <dout, out> of row i for every head, (H): as given, or of what is given.
void row_means(const BackwardQueries& queries, Index i, double* means);

/// BackwardPass::add of row i, of tensors for which the other one holds: one shape, or it throws
/// Error.
void add_row(TensorView sums, Index i, double factor, ConstTensorView more);
void check_added(TensorView sums, ConstTensorView more);

/// Writes such means, see BackwardPass::write_mean.
void write_means(TensorView to, std::span<const double> means);

}  // namespace annulus::kernels
