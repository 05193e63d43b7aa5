#pragma once
// The GPUs that kernels run on.

#include "annulus/device/device.hpp"

namespace annulus::kernels {

/// The least compute capability that they need: this one, .0.
inline constexpr int least_cuda_major = 8;

[[nodiscard]] inline bool cuda_runs_on(const GpuProperties& gpu) {
  return gpu.compute_major >= least_cuda_major;
}

}  // namespace annulus::kernels
