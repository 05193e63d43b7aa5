#pragma once
// The kernels for GPUs: on the model of a thread block, or where ANNULUS_TEST_ON_GPU is set, on a
// GPU.

#include <memory>

#include "kernels/cuda/block_model.hpp"
#include "kernels/kernel_suite.hpp"

#if ANNULUS_TEST_ON_GPU
#include "annulus/kernels/cuda.hpp"
#else
#include "kernels/cuda/kernel.hpp"
#include "kernels/cuda/model_launcher.hpp"
#endif

namespace annulus::test {

#if ANNULUS_TEST_ON_GPU
/// Of a GPU, which has a schedule of its own.
[[nodiscard]] inline std::shared_ptr<const kernels::Kernel> open_cuda(const Schedule&) {
  return {&kernels::cuda(), [](const auto*) {}};
}
#else
/// A model and the kernel on it, which may not have had conflicts of banks.
struct ModelOfKernel {
  ModelLauncher launcher;
  kernels::gpu::GpuKernel kernel;

  explicit ModelOfKernel(const Schedule& schedule) : launcher(schedule), kernel(launcher) {}
  ~ModelOfKernel() { EXPECT_EQ(launcher.report().bank_conflicts, 0); }
};

/// On a model of its own.
[[nodiscard]] inline std::shared_ptr<const kernels::Kernel> open_cuda(const Schedule& schedule) {
  const auto model = std::make_shared<ModelOfKernel>(schedule);
  return {model, &model->kernel};
}
#endif

[[nodiscard]] inline KernelUnderTest cuda_under_test() {
  return {.name = "cuda",
          .open = [] { return open_cuda({}); },
          .types = {DataType::float32, DataType::bfloat16, DataType::float16},
          .types_of_many = {DataType::bfloat16},
          .head_dims = {64, 96, 128, 256, 1, 3, 40, 65, 100, 129, 250},
          .value_dims = {64},
          .lengths = {1, 2, 7, 15, 17, 63, 64, 65, 127, 128, 129, 257}};
}

}  // namespace annulus::test
