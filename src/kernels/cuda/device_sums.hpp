#pragma once
// What backward passes of GPUs have in common: sums of gradients and means in device memory.

#include <span>

#include "annulus/kernels/kernel.hpp"
#include "kernels/cuda/device_arrays.hpp"
#include "kernels/cuda/launcher.hpp"

namespace annulus::kernels::gpu {

/// Enqueues to set the rows of sums to 0 that are in none of `rows`, which ascend; where these are
/// many, all rows.
void clear_other_rows(Stream& stream, TensorView sums, std::span<const Interval> rows);

/// Enqueues sums += factor * more, as BackwardPass::add. Both fp32, of one shape.
void add_on_device(const Launcher& launcher, const StreamPointer& stream, TensorView sums,
                   double factor, ConstTensorView more);

/// The means that a backward pass is given, or <dout, out> of the output that it is given in place
/// of them, (rows, H): enqueued. `dout`: its rows of queries.dout. Throws Error where there is not
/// one of both, or the output does not have the shape of dout.
[[nodiscard]] DeviceArray<float> device_means(const Launcher& launcher, const StreamPointer& stream,
                                              const BackwardQueries& queries,
                                              const InputRows& dout);

}  // namespace annulus::kernels::gpu
