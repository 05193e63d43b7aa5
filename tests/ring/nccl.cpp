// The engine over NCCL, both on models: every rank with a GPU of its own.
#include <gtest/gtest.h>

#include "annulus/comm/nccl.hpp"
#include "kernels/cuda/kernel.hpp"
#include "kernels/cuda/model_launcher.hpp"
#include "support/decode.hpp"
#include "support/expect_close.hpp"
#include "support/gradients.hpp"
#include "support/model_nccl.hpp"

namespace annulus::test {
namespace {

/// Runs body(communicator, kernel) on every rank.
template <class Body>
void on_gpus(int ranks, Order order, Body body) {
  ModelNccl::start({});
  comm::run_threads(ranks, [&](comm::Communicator& host) {
    const ModelLauncher launcher(Schedule{}, order);
    {
      const kernels::gpu::GpuKernel kernel(launcher);
      const auto communicator = comm::nccl(host, launcher.open_stream(0), {.timeout = 60});
      body(*communicator, kernel);
    }
    EXPECT_EQ(launcher.device().bytes_in_use(), 0U);
  });
  EXPECT_EQ(ModelNccl::misuse(), "");
  EXPECT_EQ(ModelNccl::alive(), 0);
  EXPECT_EQ(ModelNccl::aborted(), 0);
}

/// The same bits as by ranks that share one GPU.
template <class T>
void expect_same_as_by_threads(const WholeProblem<T>& whole, int ranks, Order order,
                               const Spread& spread) {
  SCOPED_TRACE(std::string(name_of(data_type_of<T>)) + ", P = " + std::to_string(ranks) + ", " +
               spread.text());
  const auto dout = random_dout<T>(whole.problem);
  const ModelLauncher launcher;
  const kernels::gpu::GpuKernel kernel(launcher);
  const auto expected = attend_by_ranks(whole, ranks, spread, kernel);
  const auto gradients = gradients_by_ranks(whole, dout, ranks, spread, kernel, true);
  Outputs<float> got(whole.problem.documents.queries(), whole.problem.query_heads,
                     whole.problem.output_dim());
  AllGradients<float> got_gradients(whole.problem);
  on_gpus(ranks, order, [&](comm::Communicator& communicator, const kernels::Kernel& gpu) {
    const auto plan = plan_by(gpu, whole, communicator.topology(), spread);
    attend(whole, communicator, plan, gpu, got);
    gradients_of_rank(whole, dout, communicator, plan, gpu, true, got_gradients);
  });
  EXPECT_EQ(got.out.values, expected.out.values);
  EXPECT_EQ(got.lse.values, expected.lse.values);
  EXPECT_EQ(got.statistic("entropy").values, expected.statistic("entropy").values);
  EXPECT_EQ(got_gradients.dq.values, gradients.dq.values);
  EXPECT_EQ(got_gradients.dk.values, gradients.dk.values);
  EXPECT_EQ(got_gradients.dv.values, gradients.dv.values);
  EXPECT_EQ(got_gradients.dgain, gradients.dgain);
}

TEST(RingOverNccl, GivesTheSameBitsAsThreads) {
  const Problem problem{.query_heads = 2,
                        .key_heads = 1,
                        .head_dim = 16,
                        .documents = Documents::single(41),
                        .mask = Mask::causal(),
                        .logit_scale = LogitScale::critical(1.5)};
  const auto fp32 = random_problem<float>(problem, 41);
  const auto bf16 = random_problem<BFloat16>(problem, 42);
  for (const auto order : {Order::early, Order::late}) {
    for (const int ranks : {1, 2, 3, 5}) {
      expect_same_as_by_threads(fp32, ranks, order, Sharding::zigzag);
      expect_same_as_by_threads(bf16, ranks, order, Sharding::contiguous);
      if (testing::Test::HasFailure()) return;
    }
  }
}

// Queries and states of a decode go between hosts, over NCCL as over any transport.
TEST(RingOverNccl, DecodesTheSameBitsAsThreads) {
  const auto whole = random_problem<float>({.query_heads = 4,
                                            .key_heads = 2,
                                            .head_dim = 8,
                                            .documents = Documents::packed({0, 37, 38, 60}),
                                            .mask = Mask::causal(),
                                            .logit_scale = LogitScale::critical(0.4)},
                                           44);
  const ModelLauncher launcher;
  const kernels::gpu::GpuKernel kernel(launcher);
  for (const auto& [order, ranks] : {std::pair{Order::early, 2}, {Order::late, 3}}) {
    SCOPED_TRACE("P = " + std::to_string(ranks));
    const auto expected =
        decode(whole, whole.problem, ranks, kernel, chunks_then_one_by_one, Sharding::zigzag);
    Outputs<float> got(whole.problem.documents.queries(), whole.problem.query_heads,
                       whole.problem.output_dim());
    on_gpus(ranks, order, [&](comm::Communicator& communicator, const kernels::Kernel& gpu) {
      decode_of_rank(whole, whole.problem, communicator, gpu, chunks_then_one_by_one,
                     Sharding::zigzag, got);
    });
    EXPECT_EQ(got.out.values, expected.out.values);
    EXPECT_EQ(got.lse.values, expected.lse.values);
  }
}

// Several exchanges are under way, due in different steps.
TEST(RingOverNccl, EveryScheduleGivesTheSameBitsAsThreads) {
  const auto whole = random_problem<float>({.query_heads = 2,
                                            .key_heads = 2,
                                            .head_dim = 8,
                                            .documents = Documents::single(37),
                                            .mask = Mask::causal()},
                                           43);
  for (const auto& [order, ranks] : {std::pair{Order::early, 4}, {Order::late, 6}}) {
    for (const auto& schedule : schedules_for(ranks, whole.problem.query_heads)) {
      expect_same_as_by_threads(whole, ranks, order, Spread(Sharding::zigzag).by(schedule));
      if (testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace annulus::test
