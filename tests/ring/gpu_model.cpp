// What only the model of a GPU can tell.
#include "ring/on_gpu.hpp"

namespace annulus::test {
namespace {

TEST(RingOnGpu, GivesBackItsMemory) {
  const auto whole = random_problem<float>(
      {.head_dim = 8, .documents = Documents::single(23), .mask = Mask::causal()}, 5);
  const auto dout = random_dout<float>(whole.problem);
  for (const auto order : {Order::early, Order::late}) {
    const ModelLauncher launcher(Schedule{}, order);
    const kernels::gpu::GpuKernel kernel(launcher);
    static_cast<void>(gradients_by_ranks(whole, dout, 4, spread_for(4), kernel, true));
    EXPECT_EQ(launcher.device().bytes_in_use(), 0U);
    EXPECT_EQ(launcher.report().bank_conflicts, 0);
  }
}

}  // namespace
}  // namespace annulus::test
