// What only the model of a GPU can tell.
#include <gmock/gmock.h>

#include "annulus/base/tensor.hpp"
#include "annulus/comm/threads.hpp"
#include "annulus/ring/pass_tensors.hpp"
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

// What a profiler shows: every wait and every compute of a pass, named by its step.
TEST(RingOnGpu, NamesWhatItDoesForProfilers) {
  const auto plan =
      make_plan({.head_dim = 8, .documents = Documents::single(23)}, {.ranks = 2},
                {.sharding = Sharding::contiguous, .schedule = annulus::Schedule::ring});
  const ModelLauncher launcher;
  const kernels::gpu::GpuKernel kernel(launcher);
  comm::run_threads(2, [&](comm::Communicator& communicator) {
    const int own = communicator.rank();
    const auto stream = std::dynamic_pointer_cast<ModelStream>(launcher.open_stream(own));
    RingAttention attention(plan, communicator, kernel, stream);
    const auto& problem = plan.problem();
    const annulus::Tensor q(DataType::float32, plan.query_rows(own), problem.query_heads, 8);
    const annulus::Tensor k(DataType::float32, plan.key_rows(own), problem.key_heads, 8);
    PassTensors tensors(plan, own, {});
    static_cast<void>(tensors.forward(attention, {.q = std::as_const(q).view(),
                                                  .k = std::as_const(k).view(),
                                                  .v = std::as_const(k).view()}));
    const int other = 1 - own;
    const auto computes = [](int step, int owner) {
      return "forward: step " + std::to_string(step) + " computes with keys of " +
             std::to_string(owner);
    };
    // A step waits for what is due, and then for its turn.
    EXPECT_THAT(
        stream->ranges(),
        testing::ElementsAre("forward: step 0 waits", "forward: step 0 waits", computes(0, own),
                             "forward: step 1 waits", "forward: step 1 waits", computes(1, other),
                             "forward: step 2 waits"));
  });
}

}  // namespace
}  // namespace annulus::test
