#pragma once
// The cudnn backend that tests run: with pairs from the definition on the model of a device, or
// where ANNULUS_TEST_ON_GPU is set, cuDNN on a GPU.

#include <vector>

#include "annulus/kernels/kernel.hpp"

#if ANNULUS_TEST_ON_GPU
#include "annulus/kernels/cudnn.hpp"
#else
#include "kernels/cuda/model_launcher.hpp"
#include "kernels/cudnn/kernel.hpp"
#include "support/model_pairs.hpp"
#endif

namespace annulus::test {

/// The backend once for each way in which the device may go; none where the build, on a GPU, has no
/// cuDNN.
[[nodiscard]] inline std::vector<const kernels::Kernel*> cudnn_under_test() {
#if ANNULUS_TEST_ON_GPU
  if (!kernels::cudnn_problem().empty()) return {};
  return {&kernels::cudnn()};
#else
  static const ModelPairs pairs;
  static const ModelLauncher early(Schedule{}, Order::early);
  static const ModelLauncher late(Schedule{LaneOrder::backward, 0}, Order::late);
  static const kernels::gpu::CudnnKernel kernels[] = {{early, pairs}, {late, pairs}};
  return {&kernels[0], &kernels[1]};
#endif
}

}  // namespace annulus::test
