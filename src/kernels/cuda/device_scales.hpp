#pragma once
// The scales of logits in device memory.

#include "annulus/kernels/logit_scales.hpp"
#include "kernels/cuda/device_arrays.hpp"
#include "kernels/cuda/launcher.hpp"

namespace annulus::kernels::gpu {

/// The table (rows, H) of the scales of queries `q` (rows, H, d), as a kernel makes it: of the host
/// come H factors. Throws Error where there is not one for each row and head.
[[nodiscard]] DeviceArray<float> device_scales(const Launcher& launcher,
                                               const StreamPointer& stream,
                                               const LogitScales& scales, ConstTensorView q);

}  // namespace annulus::kernels::gpu
