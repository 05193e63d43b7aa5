#include "kernels/cuda/nvcc/hopper_launcher.cuh"

namespace annulus::kernels::gpu {

template struct HopperLauncherOf<BFloat16>;

}  // namespace annulus::kernels::gpu
