#include "kernels/cuda/nvcc/launcher_of_type.cuh"

namespace annulus::kernels::gpu {

template struct CudaLauncherOf<float>;

}  // namespace annulus::kernels::gpu
