// What only the model of a GPU can tell.
#include <gmock/gmock.h>

#include "annulus/base/tensor.hpp"
#include "annulus/comm/self.hpp"
#include "annulus/comm/threads.hpp"
#include "annulus/device/device_tensor.hpp"
#include "annulus/ring/cached_attention.hpp"
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

/// The rows of one rank, on the device.
struct DeviceRows {
  DeviceRows(const std::shared_ptr<device::Stream>& stream, const Plan& plan, int rank)
      : q(stream, DataType::float32, plan.query_rows(rank), 2, 8),
        k(stream, DataType::float32, plan.key_rows(rank), 2, 8),
        numbers(stream, DataType::float32, plan.query_rows(rank), 2, 1),
        dk(stream, DataType::float32, plan.key_rows(rank), 2, 8),
        dv(stream, DataType::float32, plan.key_rows(rank), 2, 8),
        out(stream, DataType::float32, plan.query_rows(rank), 2, 8),
        dq(stream, DataType::float32, plan.query_rows(rank), 2, 8) {}
  device::DeviceTensor q, k, numbers, dk, dv, out, dq;
};

/// Copies from the host and to it, and waits of the host for work that is not done, in passes by
/// ranks whose rows are on the device, which does everything as late as it can.
struct UseOfHost {
  Index up;
  Index down;
  Index waits;
};

/// What passes are given and asked for.
struct Passes {
  int ranks = 1;
  int each_way = 1;
  annulus::Schedule schedule = annulus::Schedule::ring;
  LogitScale logit_scale{};
  bool gradients_of_gains = false;
};

UseOfHost use_of_host(const Passes& passes) {
  const auto& logit_scale = passes.logit_scale;
  const Problem problem{.query_heads = 2,
                        .key_heads = 2,
                        .head_dim = 8,
                        .documents = Documents::packed({0, 37, 90}),
                        .mask = Mask::causal(),
                        .logit_scale = logit_scale};
  const ModelLauncher launcher(Schedule{}, Order::late);
  const kernels::gpu::GpuKernel kernel(launcher);
  const auto plan = make_plan(
      problem, {.ranks = passes.ranks},
      {.sharding = Sharding::zigzag, .schedule = passes.schedule, .data_type = DataType::float32});
  comm::run_threads(passes.ranks, [&](comm::Communicator& communicator) {
    const auto stream = launcher.open_stream(communicator.rank());
    const DeviceRows rows(stream, plan, communicator.rank());
    const std::vector<double> table(
        logit_scale.is_table() ? static_cast<std::size_t>(2 * plan.query_rows(communicator.rank()))
                               : 0,
        1.5);
    std::vector<double> dgain(passes.gradients_of_gains ? 2 : 0);
    RingAttention attention(plan, communicator, kernel, stream);
    for (int pass = 0; pass < passes.each_way; ++pass) {
      HeldShards held;
      attention.forward(rows.q.view(), rows.k.view(), rows.k.view(), rows.out.view(),
                        {.lse = rows.numbers.view(), .logit_scale = table, .held = &held});
      attention.backward(
          {.q = rows.q.view(),
           .k = rows.k.view(),
           .v = rows.k.view(),
           .out = rows.out.view(),
           .lse = rows.numbers.view(),
           .dout = rows.q.view(),
           .dlse = rows.numbers.view(),
           .logit_scale = table,
           .held = std::move(held)},
          {.dq = rows.dq.view(), .dk = rows.dk.view(), .dv = rows.dv.view(), .dgain = dgain});
    }
  });
  auto& device = launcher.device();
  return {device.uploads(), device.downloads(), device.waits()};
}

// Lists of tiles and numbers of rows are uploaded once. What is left are factors of heads, of a
// forward pass and of a backward pass before and after it takes the gradient of lse from its means.
// Nothing comes to the host.
TEST(RingOnGpu, LaterPassesUploadFactorsOfHeadsAlone) {
  for (const int ranks : {1, 2}) {
    const auto once = use_of_host({.ranks = ranks, .each_way = 1});
    const auto twice = use_of_host({.ranks = ranks, .each_way = 2});
    EXPECT_GT(once.up, 3 * ranks) << "there are lists of tiles";
    EXPECT_EQ(twice.up - once.up, 3 * ranks) << "P = " << ranks;
    EXPECT_EQ(twice.down, 0) << "P = " << ranks;
  }
}

// Queries that travel bring what a table has of them, or where they come from says what their betas
// are: a rank that computes with them never waits for its GPU to tell it.
TEST(RingOnGpu, QueriesOfOthersNeedNothingOfTheHost) {
  for (const auto* name : {"tiles", "heads:2", "heads:2+tiles"}) {
    for (const auto& scale : {LogitScale::table(), LogitScale::critical(0.5)}) {
      const auto use = use_of_host(
          {.ranks = 4, .each_way = 2, .schedule = parse_schedule(name), .logit_scale = scale});
      EXPECT_EQ(use.down, 0) << name << ", " << scale.name();
      EXPECT_EQ(use.waits, 0) << name << ", " << scale.name();
    }
  }
}

// What gradients of gains are summed from comes to the host at the end, when all is done.
TEST(RingOnGpu, GradientsOfGainsWaitForNothingInsideAPass) {
  for (const auto* name : {"ring", "tiles", "heads:2+tiles"}) {
    const auto use = use_of_host({.ranks = 4,
                                  .each_way = 1,
                                  .schedule = parse_schedule(name),
                                  .logit_scale = LogitScale::table(),
                                  .gradients_of_gains = true});
    EXPECT_GT(use.down, 0) << name;
    EXPECT_EQ(use.waits, 0) << name;
  }
}

// Sums of queries go on from step to step, and from none of them to the next pass; sums of keys
// start anew in buffers that have been used before.
TEST(RingOnGpu, PassesOfOneObjectHaveTheSameBitsAndFoldOnce) {
  constexpr int ranks = 3;
  for (const auto& mask : {Mask::full(), Mask::causal()}) {
    const auto whole = random_problem<BFloat16>({.query_heads = 2,
                                                 .key_heads = 1,
                                                 .head_dim = 8,
                                                 .documents = Documents::single(75, 131),
                                                 .mask = mask},
                                                5);
    const auto dout = random_dout<BFloat16>(whole.problem);
    const ModelLauncher launcher(Schedule{}, Order::late);
    const kernels::gpu::GpuKernel kernel(launcher);
    const auto plan = make_plan(whole.problem, {.ranks = ranks},
                                {.sharding = Sharding::contiguous,
                                 .schedule = annulus::Schedule::ring,
                                 .data_type = DataType::bfloat16});
    AllGradients<float> first(whole.problem);
    AllGradients<float> second(whole.problem);
    comm::run_threads(ranks, [&](comm::Communicator& communicator) {
      const int rank = communicator.rank();
      const RankInputs<BFloat16> inputs(whole, plan, rank);
      const auto local_dout = take_rows(dout, inputs.rows);
      RingAttention attention(plan, communicator, kernel, launcher.open_stream(rank));
      for (auto* result : {&first, &second}) {
        PassTensors tensors(plan, rank, {.backward = true, .parameters = true});
        tensors.forward(attention, inputs.views());
        tensors.backward(attention, inputs.views(local_dout.view()));
        put_rows(result->dq, inputs.rows, tensors.dq());
        put_rows(result->dk, inputs.key_rows, tensors.dk());
        put_rows(result->dv, inputs.key_rows, tensors.dv());
        if (rank == 0) std::ranges::copy(tensors.dgain(), result->dgain.begin());
      }
    });
    expect_close(first, direct_gradients_of(whole, dout), gradient_bounds_of(whole, dout, kernel));
    EXPECT_EQ(first.dq.values, second.dq.values);
    EXPECT_EQ(first.dk.values, second.dk.values);
    EXPECT_EQ(first.dv.values, second.dv.values);
    EXPECT_EQ(launcher.folds(), 2 * ranks);
    EXPECT_GT(launcher.launches_together(), launcher.folds());
  }
}

// What kernels refuse they refuse of a plan, before anything is computed.
TEST(RingOnGpu, RefusesPlansThatItDoesNotExecute) {
  const ModelLauncher launcher;
  const kernels::gpu::GpuKernel kernel(launcher);
  const auto plan_of = [](Index head_dim, Index value_dim, DataType type,
                          annulus::Schedule schedule) {
    return make_plan({.query_heads = 2,
                      .key_heads = 2,
                      .head_dim = head_dim,
                      .value_dim = value_dim,
                      .documents = Documents::single(40)},
                     even_topology(2, 2), {.schedule = schedule, .data_type = type});
  };
  const auto ring = annulus::Schedule::ring;
  for (const auto type : {DataType::float32, DataType::bfloat16, DataType::float16}) {
    EXPECT_NO_THROW(check_plan(plan_of(256, 256, type, ring), kernel));
    EXPECT_THROW(check_plan(plan_of(257, 256, type, ring), kernel), InputError);
    EXPECT_THROW(check_plan(plan_of(8, 257, type, ring), kernel), InputError);
  }
  EXPECT_THROW(check_plan(plan_of(8, 8, DataType::float64, ring), kernel), InputError);
  EXPECT_THROW(check_plan(plan_of(8, 8, DataType::float32, annulus::Schedule::node_ring), kernel),
               InputError);
}

// Where one rank has all keys, tensors of the device stay there.
TEST(RingOnGpu, DecodesAloneWithoutTheHost) {
  const ModelLauncher launcher;
  const kernels::gpu::GpuKernel kernel(launcher);
  comm::SelfCommunicator self;
  CachedAttention attention({.query_heads = 4,
                             .key_heads = 2,
                             .head_dim = 8,
                             .documents = Documents::single(71),
                             .mask = Mask::causal()},
                            DataType::float32, self, kernel);
  const auto chunk = attention.layout().next(std::vector<Index>{71});
  const auto& stream = attention.stream();
  const device::DeviceTensor q(stream, DataType::float32, 71, 4, 8);
  const device::DeviceTensor k(stream, DataType::float32, 71, 2, 8);
  const device::DeviceTensor out(stream, DataType::float32, 71, 4, 8);
  attention.append(chunk, k.view(), k.view());
  attention.attend(chunk, q.view(), out.view());
  EXPECT_EQ(launcher.device().downloads(), 0);
}

}  // namespace
}  // namespace annulus::test
