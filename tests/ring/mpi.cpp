// The engine on devices over MPI, staged and direct: the same bits as by ranks that are threads and
// share one device. On the model, or where ANNULUS_TEST_ON_GPU is set, on GPUs.
#include <algorithm>
#include <utility>

#include <gtest/gtest.h>

#include "annulus/comm/mpi.hpp"
#include "annulus/device/device.hpp"
#include "support/decode.hpp"
#include "support/gpu_under_test.hpp"
#include "support/gradients.hpp"

namespace annulus::test {
namespace {

/// Runs body(world, kernel) for every path that MPI has and every backend under test.
template <class Body>
void on_devices(Body body) {
#if ANNULUS_TEST_ON_GPU
  if (!gpu_problem().empty()) GTEST_SKIP() << gpu_problem();
  const bool has_direct = comm::cuda_aware();
#else
  const bool has_direct = true;
#endif
  for (const auto path : {comm::DevicePath::staged, comm::DevicePath::direct}) {
    if (path == comm::DevicePath::direct && !has_direct) continue;
    for (const auto* kernel : gpus_under_test()) {
      SCOPED_TRACE(comm::name_of(path));
      comm::MpiCommunicator world(MPI_COMM_WORLD, comm::usual_largest_message, path);
      body(world, *kernel);
    }
  }
}

/// What the ranks have written into their rows, which are zeros on the others, on all of them.
template <class T>
void join(comm::Communicator& world, Tensor<T>& rows) {
  std::vector<double> sums(rows.values.begin(), rows.values.end());
  world.all_reduce(sums, comm::Reduction::sum);
  std::ranges::transform(sums, rows.values.begin(), [](double x) { return static_cast<T>(x); });
}

/// Rank 0 alone knows what is expected.
template <class T>
void expect_same(comm::Communicator& world, Tensor<T>& got, const Tensor<T>& expected) {
  join(world, got);
  if (world.rank() == 0) {
    EXPECT_EQ(got.values, expected.values);
  }
}

template <class T>
void expect_same_passes(const WholeProblem<T>& whole, const Spread& spread) {
  SCOPED_TRACE(std::string(name_of(data_type_of<T>)) + ", " + spread.text());
  const auto dout = random_dout<T>(whole.problem);
  const Outputs<float> nothing(whole.problem.documents.queries(), whole.problem.query_heads,
                               whole.problem.output_dim());
  auto expected = nothing;
  AllGradients<float> gradients(whole.problem);
  bool known = false;
  on_devices([&](comm::Communicator& world, const kernels::Kernel& kernel) {
    if (world.rank() == 0 && !std::exchange(known, true)) {
      expected = attend_by_ranks(whole, world.size(), spread, kernel);
      gradients = gradients_by_ranks(whole, dout, world.size(), spread, kernel, true);
    }
    auto got = nothing;
    AllGradients<float> got_gradients(whole.problem);
    const auto plan = plan_by(kernel, whole, world.topology(), spread);
    attend(whole, world, plan, kernel, got);
    gradients_of_rank(whole, dout, world, plan, kernel, true, got_gradients);
    expect_same(world, got.out, expected.out);
    expect_same(world, got.lse, expected.lse);
    expect_same(world, got_gradients.dq, gradients.dq);
    expect_same(world, got_gradients.dk, gradients.dk);
    expect_same(world, got_gradients.dv, gradients.dv);
    if (world.rank() == 0) {
      EXPECT_EQ(got_gradients.dgain, gradients.dgain);
    }
  });
}

TEST(RingOverMpi, GivesTheSameBitsAsThreads) {
  const Problem problem{.query_heads = 2,
                        .key_heads = 1,
                        .head_dim = 16,
                        .documents = Documents::single(41),
                        .mask = Mask::causal(),
                        .logit_scale = LogitScale::critical(1.5)};
  expect_same_passes(random_problem<float>(problem, 41), Sharding::zigzag);
  expect_same_passes(random_problem<BFloat16>(problem, 42), Sharding::contiguous);
}

// Queries, states and gradients travel as well as keys.
TEST(RingOverMpi, EveryScheduleGivesTheSameBitsAsThreads) {
  const auto whole = random_problem<float>({.query_heads = 2,
                                            .key_heads = 2,
                                            .head_dim = 8,
                                            .documents = Documents::single(37),
                                            .mask = Mask::causal()},
                                           43);
  const int ranks = comm::mpi(MPI_COMM_WORLD).size();
  for (const auto& schedule : schedules_for(ranks, whole.problem.query_heads)) {
    expect_same_passes(whole, Spread(Sharding::zigzag).by(schedule));
  }
}

TEST(RingOverMpi, DecodesTheSameBitsAsThreads) {
  const auto whole = random_problem<float>({.query_heads = 4,
                                            .key_heads = 2,
                                            .head_dim = 8,
                                            .documents = Documents::packed({0, 37, 38, 60}),
                                            .mask = Mask::causal(),
                                            .logit_scale = LogitScale::critical(0.4)},
                                           44);
  const Outputs<float> nothing(whole.problem.documents.queries(), whole.problem.query_heads,
                               whole.problem.output_dim());
  on_devices([&](comm::Communicator& world, const kernels::Kernel& kernel) {
    const auto expected = world.rank() == 0 ? decode(whole, whole.problem, world.size(), kernel,
                                                     chunks_then_one_by_one, Sharding::zigzag)
                                            : nothing;
    auto got = nothing;
    decode_of_rank(whole, whole.problem, world, kernel, chunks_then_one_by_one, Sharding::zigzag,
                   got);
    expect_same(world, got.out, expected.out);
    expect_same(world, got.lse, expected.lse);
  });
}

}  // namespace
}  // namespace annulus::test
