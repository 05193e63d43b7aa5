#include "kernels/cuda/kernel.hpp"

#include "annulus/base/build.hpp"
#include "annulus/kernels/backend.hpp"
#include "annulus/kernels/cuda.hpp"
#include "kernels/cuda/cuda_launcher.hpp"
#include "kernels/cuda/passes.hpp"

namespace annulus::kernels {
namespace gpu {

std::unique_ptr<ForwardPass> GpuKernel::forward(const Queries& queries,
                                                const PassOptions& options) const {
  return std::make_unique<GpuForward>(launcher_, wish_, queries, options);
}

std::unique_ptr<BackwardPass> GpuKernel::backward(const BackwardQueries& queries,
                                                  const PassOptions& options) const {
  return std::make_unique<GpuBackward>(launcher_, wish_, queries, options);
}

}  // namespace gpu

const Kernel& cuda() {
  static const gpu::GpuKernel kernel(gpu::cuda_launcher(), gpu::wished_kernels());
  return kernel;
}

std::string_view cuda_instructions() {
  return gpu::wished_kernels().path == gpu::KernelPath::hopper ? "hopper" : "mma";
}

namespace backend {
extern const Backend cuda{
    .name = "cuda",
    .description = "kernels for NVIDIA GPUs of compute capability 8.0 and later",
    .device = DeviceKind::cuda,
    .automatic = true,
    .built = [] { return build_features().cuda; },
    .kernel = kernels::cuda,
};
}  // namespace backend

}  // namespace annulus::kernels
