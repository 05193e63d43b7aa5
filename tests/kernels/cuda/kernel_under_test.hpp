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

  ModelOfKernel(const Schedule& schedule, const kernels::gpu::KernelWish& wish,
                const kernels::gpu::Multiprocessors& memory)
      : launcher(schedule, Order::early, memory), kernel(launcher, wish) {}
  ~ModelOfKernel() { EXPECT_EQ(launcher.report().bank_conflicts, 0); }
};

/// On a model of its own.
[[nodiscard]] inline std::shared_ptr<const kernels::Kernel> open_cuda(
    const Schedule& schedule, const kernels::gpu::KernelWish& wish = {},
    const kernels::gpu::Multiprocessors& memory = large_shared_memory) {
  const auto model = std::make_shared<ModelOfKernel>(schedule, wish, memory);
  return {model, &model->kernel};
}
/// So few multiprocessors that a thread block computes several tiles one after another.
[[nodiscard]] inline std::shared_ptr<const kernels::Kernel> open_hopper(
    const Schedule& schedule, int multiprocessors = 3,
    const kernels::gpu::Multiprocessors& memory = large_shared_memory, bool in_order = true) {
  auto device = memory;
  device.count = multiprocessors;
  return open_cuda(schedule, {.path = kernels::gpu::KernelPath::hopper, .in_order = in_order},
                   device);
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

#if !ANNULUS_TEST_ON_GPU
/// On a device whose shared memory has no room for the kernel of all gradients, whatever the head
/// dimension: gradients come from two kernels.
[[nodiscard]] inline KernelUnderTest two_kernels_under_test() {
  auto kernel = cuda_under_test();
  kernel.name = "two_kernels";
  kernel.open = [] { return open_cuda({LaneOrder::shuffled, 3}, {}, least_shared_memory); };
  kernel.types = {DataType::bfloat16, DataType::float16};
  return kernel;
}

/// The kernels for compute capability 9.0; on a GPU, ANNULUS_CUDA=hopper takes it for all
/// tests.
[[nodiscard]] inline KernelUnderTest hopper_under_test() {
  auto kernel = cuda_under_test();
  kernel.name = "hopper";
  kernel.open = [] { return open_hopper({LaneOrder::shuffled, 5}); };
  kernel.types = {DataType::bfloat16, DataType::float16};
  return kernel;
}

/// The same on one multiprocessor, where no tile waits for another, so that all gradients come from
/// one kernel where there is one; and on a device without the shared memory, where they never do.
[[nodiscard]] inline KernelUnderTest hopper_in_turns_under_test() {
  auto kernel = hopper_under_test();
  kernel.name = "hopper_in_turns";
  kernel.open = [] { return open_hopper({LaneOrder::backward}, 1); };
  kernel.head_dims = {64, 128, 1, 40, 65, 100};
  return kernel;
}
[[nodiscard]] inline KernelUnderTest hopper_two_kernels_under_test() {
  auto kernel = hopper_under_test();
  kernel.name = "hopper_two_kernels";
  kernel.open = [] { return open_hopper({LaneOrder::shuffled, 3}, 3, least_shared_memory); };
  return kernel;
}
#endif

}  // namespace annulus::test
