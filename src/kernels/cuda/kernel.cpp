#include "kernels/cuda/kernel.hpp"

#include "annulus/kernels/cuda.hpp"
#include "kernels/cuda/cuda_launcher.hpp"
#include "kernels/cuda/passes.hpp"

namespace annulus::kernels {
namespace gpu {

std::unique_ptr<ForwardPass> GpuKernel::forward(const Queries& queries,
                                                const PassOptions& options) const {
  return std::make_unique<GpuForward>(launcher_, queries, options);
}

std::unique_ptr<BackwardPass> GpuKernel::backward(const BackwardQueries& queries,
                                                  const PassOptions& options) const {
  return std::make_unique<GpuBackward>(launcher_, queries, options);
}

}  // namespace gpu

const Kernel& cuda() {
  static const gpu::GpuKernel kernel(gpu::cuda_launcher());
  return kernel;
}

}  // namespace annulus::kernels
