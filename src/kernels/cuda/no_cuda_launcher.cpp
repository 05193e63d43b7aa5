// A build without CUDA.
#include "annulus/base/error.hpp"
#include "kernels/cuda/cuda_launcher.hpp"

namespace annulus::kernels::gpu {

const Launcher& cuda_launcher() {
  throw InputError("this build has no CUDA; build with -DANNULUS_CUDA=ON");
}

}  // namespace annulus::kernels::gpu
