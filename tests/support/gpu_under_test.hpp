#pragma once
// The backend for GPUs that tests run: on the model of a device, or where ANNULUS_TEST_ON_GPU is
// set, on a GPU.

#include <vector>

#include "annulus/kernels/kernel.hpp"

#if ANNULUS_TEST_ON_GPU
#include "annulus/kernels/cuda.hpp"
#else
#include "kernels/cuda/kernel.hpp"
#include "kernels/cuda/model_launcher.hpp"
#endif

namespace annulus::test {

/// The backend once for each way in which the device may go: as early and as late as streams allow.
[[nodiscard]] inline std::vector<const kernels::Kernel*> gpus_under_test() {
#if ANNULUS_TEST_ON_GPU
  return {&kernels::cuda()};
#else
  static const ModelLauncher early(Schedule{}, Order::early);
  static const ModelLauncher late(Schedule{LaneOrder::backward, 0}, Order::late);
  static const kernels::gpu::GpuKernel kernels[] = {kernels::gpu::GpuKernel(early),
                                                    kernels::gpu::GpuKernel(late)};
  return {&kernels[0], &kernels[1]};
#endif
}

/// How many ranks share the device in a test: fewer on the model, which takes its time.
[[nodiscard]] inline std::vector<int> rank_counts_of_gpus() {
  return {1, 2, 3, 4, 5, 8};
}

}  // namespace annulus::test
