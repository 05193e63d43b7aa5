#include "kernels/cuda/launcher_of_type.cuh"

namespace annulus::kernels::gpu {

template struct CudaLauncherOf<Float16>;

}  // namespace annulus::kernels::gpu
