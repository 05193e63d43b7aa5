#pragma once
// Sums of gradients in device memory.

#include "kernels/cuda/device_arrays.hpp"
#include "kernels/cuda/launcher.hpp"

namespace annulus::kernels::gpu {

/// Enqueues sums += factor * more, as BackwardPass::add. Both fp32, of one shape.
void add_on_device(const Launcher& launcher, const StreamPointer& stream, TensorView sums,
                   double factor, ConstTensorView more);

}  // namespace annulus::kernels::gpu
