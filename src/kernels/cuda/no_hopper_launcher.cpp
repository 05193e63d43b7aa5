// A build whose kernels for GPUs are not compiled for compute capability 9.0.
#include "annulus/base/error.hpp"
#include "annulus/base/half.hpp"
#include "kernels/cuda/cuda_launcher.hpp"

namespace annulus::kernels::gpu {

template <class T>
void HopperLauncherOf<T>::forward(const KernelChoice& /*choice*/,
                                  const ForwardArguments& /*arguments*/, Stream& /*stream*/) {
  throw InputError(
      "ANNULUS_CUDA=hopper: this build has no kernels for compute capability 9.0; build with "
      "-DANNULUS_CUDA_ARCHITECTURES=90, or take mma");
}

template struct HopperLauncherOf<BFloat16>;
template struct HopperLauncherOf<Float16>;

}  // namespace annulus::kernels::gpu
