// The whole engine on a GPU, or on the model of one: streams, events, copies and kernels together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/device/tensor_copy.hpp"
#include "annulus/kernels/backend.hpp"
#include "annulus/ring/cached_attention.hpp"
#include "support/expect_close.hpp"
#include "support/gpu_under_test.hpp"
#include "support/gradients.hpp"

namespace annulus::test {
namespace {

/// Sharding changes with the number of ranks, so that all meet.
Sharding sharding_for(int ranks) {
  const auto all = all_shardings();
  return all[static_cast<std::size_t>(ranks) % all.size()];
}

/// Ranks on one node, which GPUs make a ring of all the same.
Spread spread_for(int ranks) {
  return sharding_for(ranks);
}

template <class T>
Outputs<float> by_ranks(const WholeProblem<T>& whole, int ranks, const kernels::Kernel& kernel) {
  Outputs<float> result(whole.problem.documents.queries(), whole.problem.query_heads,
                        whole.problem.output_dim());
  const auto spread = spread_for(ranks);
  comm::run_threads(spread.topology(ranks), [&](comm::Communicator& communicator) {
    attend(whole, communicator, spread, kernel, result);
  });
  return result;
}

template <class T>
void expect_exact(WholeProblem<T> whole, const std::string& what) {
  const auto expected = direct(whole);
  for (const auto* kernel : gpus_under_test()) {
    const auto bounds = bounds_of(whole, *kernel);
    for (const int ranks : rank_counts_of_gpus()) {
      SCOPED_TRACE(what + ", " + std::string(name_of(data_type_of<T>)) +
                   ", P = " + std::to_string(ranks));
      expect_close(by_ranks(whole, ranks, *kernel), expected, bounds);
      if (testing::Test::HasFailure()) return;
    }
  }
}

void expect_exact_in_every_type(const Problem& problem, const std::string& what) {
  expect_exact(random_problem<float>(problem, 7), what);
  expect_exact(random_problem<BFloat16>(problem, 8), what);
  expect_exact(random_problem<Float16>(problem, 9), what);
}

template <class T>
void expect_gradients(const WholeProblem<T>& whole, const std::string& what) {
  const auto dout = random_dout<T>(whole.problem);
  const auto expected = direct_gradients_of(whole, dout);
  for (const auto* kernel : gpus_under_test()) {
    const auto roundings = kernels::Roundings::of(*kernel, data_type_of<T>);
    const auto bounds = gradient_bounds_of(whole, dout, roundings);
    for (const int ranks : rank_counts_of_gpus()) {
      // Every number of ranks both ways, in one type or another.
      const bool keep = (ranks + static_cast<int>(data_type_of<T>)) % 2 == 0;
      SCOPED_TRACE(what + ", " + std::string(name_of(data_type_of<T>)) +
                   ", P = " + std::to_string(ranks) + (keep ? "" : ", fetched again"));
      expect_close(gradients_by_ranks(whole, dout, ranks, spread_for(ranks), *kernel, keep),
                   expected, bounds, Sharpness::tenth, sharpness_of_parameters(roundings));
      if (testing::Test::HasFailure()) return;
    }
  }
}

void expect_gradients_in_every_type(const Problem& problem, const std::string& what) {
  expect_gradients(random_problem<float>(problem, 17), what);
  expect_gradients(random_problem<BFloat16>(problem, 18), what);
  expect_gradients(random_problem<Float16>(problem, 19), what);
}

// Equal logits however large give p = 1 / keys, so dv is the mean of dout, from every kernel.
TEST(RingOnGpu, GradientsDoNotLoseWhatLseRoundsAway) {
  for (const float logit : {1e2F, 1e8F}) {
    auto whole = random_problem<float>({.head_dim = 64, .documents = Documents::single(37, 64)}, 5);
    std::ranges::fill(whole.q.values, std::sqrt(logit / 8));
    std::ranges::fill(whole.k.values, std::sqrt(logit / 8));
    const auto dout = random_dout<float>(whole.problem);
    const auto exact = direct_gradients_of(whole, dout);
    for (const auto* kernel : gpus_under_test()) {
      for (const int ranks : {1, 2}) {
        SCOPED_TRACE(std::to_string(logit) + ", P = " + std::to_string(ranks));
        const auto got = gradients_by_ranks(whole, dout, ranks, spread_for(ranks), *kernel, true);
        EXPECT_TRUE(
            all_close("dv", got.dv.values, exact.dv.values, 3e-6 * largest_element(exact.dv)));
      }
    }
  }
}

TEST(RingOnGpu, EveryMaskAndSharding) {
  for (const auto* mask : {"full", "causal", "window:5", "window:7,3"}) {
    expect_exact_in_every_type({.query_heads = 2,
                                .key_heads = 1,
                                .head_dim = 24,
                                .documents = Documents::single(61),
                                .mask = Mask::parse(mask)},
                               mask);
  }
}

// Rows of 5 elements start anywhere: they are copied to where kernels can read them.
TEST(RingOnGpu, HeadsOfAnyDimension) {
  expect_exact_in_every_type({.query_heads = 3,
                              .key_heads = 3,
                              .head_dim = 5,
                              .value_dim = 13,
                              .documents = Documents::single(37),
                              .mask = Mask::causal()},
                             "d = 5");
}

TEST(RingOnGpu, PackedDocumentsGainsSinksAndScales) {
  const Problem problem{.query_heads = 4,
                        .key_heads = 2,
                        .head_dim = 16,
                        .documents = Documents::packed({0, 17, 17, 18, 47}),
                        .mask = Mask::causal(),
                        .logit_scale = LogitScale::parse("critical:gamma=2,length=visible")};
  auto whole = random_problem<float>(problem, 3);
  whole.gain = {0.5, 2, -1, 1};
  whole.sink = {0.25, -std::numeric_limits<double>::infinity(), 3, -2};
  expect_exact(whole, "gains and sinks");
  expect_gradients(whole, "gains and sinks");
  auto table = problem;
  table.logit_scale = LogitScale::parse("table");
  expect_exact(random_problem<BFloat16>(table, 4), "a table of scales");
}

TEST(RingOnGpu, RanksWithoutRows) {
  const Problem problem{.query_heads = 1,
                        .key_heads = 1,
                        .head_dim = 8,
                        .documents = Documents::single(3),
                        .mask = Mask::causal()};
  expect_exact_in_every_type(problem, "three tokens");
  expect_gradients_in_every_type(problem, "three tokens");
}

TEST(RingOnGpu, Gradients) {
  for (const auto* mask : {"full", "causal", "window:9"}) {
    expect_gradients_in_every_type({.query_heads = 2,
                                    .key_heads = 1,
                                    .head_dim = 24,
                                    .value_dim = 11,
                                    .documents = Documents::single(43),
                                    .mask = Mask::parse(mask)},
                                   mask);
  }
}

// What lies on the device is used where it lies, whatever its layout, and comes back the same.
TEST(RingOnGpu, TensorsOnTheDevice) {
  const Problem problem{.query_heads = 2,
                        .key_heads = 2,
                        .head_dim = 12,
                        .documents = Documents::single(29),
                        .mask = Mask::causal()};
  const auto whole = random_problem<float>(problem, 23);
  const auto dout = random_dout<float>(problem);
  for (const auto* kernel : gpus_under_test()) {
    const auto on_host = by_ranks(whole, 1, *kernel);
    const auto gradients_on_host = gradients_by_ranks(whole, dout, 1, spread_for(1), *kernel, true);
    comm::run_threads(1, [&](comm::Communicator& communicator) {
      const auto plan =
          make_plan(problem, communicator.topology(), spread_for(1).options(DataType::float32));
      const auto stream = kernel->open_stream(0);
      // With gaps between heads and rows.
      struct Placed {
        device::Buffer buffer;
        TensorView view;
      };
      const auto place = [&](Index rows, Index heads, Index dim) {
        const Index head_stride = dim + 3;
        const Index row_stride = heads * head_stride + 1;
        Placed placed{device::Buffer(stream, static_cast<std::size_t>(rows * row_stride) * 4), {}};
        placed.view = {placed.buffer.data(), DataType::float32, rows, heads, dim,
                       row_stride,           head_stride};
        return placed;
      };
      const auto put = [&](const Tensor<float>& tensor) {
        auto placed = place(tensor.rows, tensor.heads, tensor.dim);
        device::upload(*stream, placed.view, tensor.view());
        return placed;
      };
      const auto q = put(whole.q);
      const auto k = put(whole.k);
      const auto v = put(whole.v);
      const auto given = put(dout);
      const auto out = place(29, 2, 12);
      const auto lse = place(29, 2, 1);
      const auto dq = place(29, 2, 12);
      const auto dk = place(29, 2, 12);
      const auto dv = place(29, 2, 12);
      RingAttention attention(plan, communicator, *kernel, stream);
      HeldShards held;
      const auto report =
          attention.forward(q.view, k.view, v.view, out.view, {.lse = lse.view, .held = &held});
      EXPECT_GT(report.seconds, 0);
      attention.backward({.q = q.view,
                          .k = k.view,
                          .v = v.view,
                          .out = out.view,
                          .lse = lse.view,
                          .dout = given.view,
                          .held = std::move(held)},
                         {.dq = dq.view, .dk = dk.view, .dv = dv.view});
      const auto fetch = [&](const Placed& placed) {
        Tensor<float> tensor(placed.view.rows, placed.view.heads, placed.view.dim);
        device::download(*stream, tensor.view(), placed.view);
        return tensor.values;
      };
      EXPECT_EQ(fetch(out), on_host.out.values);
      EXPECT_EQ(fetch(lse), on_host.lse.values);
      EXPECT_EQ(fetch(dq), gradients_on_host.dq.values);
      EXPECT_EQ(fetch(dk), gradients_on_host.dk.values);
      EXPECT_EQ(fetch(dv), gradients_on_host.dv.values);
    });
  }
}

// Sums have one order, whatever the streams do.
TEST(RingOnGpu, EveryRunGivesTheSameBits) {
  const auto whole = random_problem<BFloat16>({.query_heads = 2,
                                               .key_heads = 1,
                                               .head_dim = 16,
                                               .documents = Documents::single(41),
                                               .mask = Mask::causal()},
                                              31);
  const auto dout = random_dout<BFloat16>(whole.problem);
  std::optional<AllGradients<float>> first;
  for (const auto* kernel : gpus_under_test()) {
    for (int repetition = 0; repetition < 2; ++repetition) {
      auto got = gradients_by_ranks(whole, dout, 3, spread_for(3), *kernel, true);
      if (!first) first = got;
      EXPECT_EQ(got.dq.values, first->dq.values);
      EXPECT_EQ(got.dk.values, first->dk.values);
      EXPECT_EQ(got.dv.values, first->dv.values);
      EXPECT_EQ(got.dgain, first->dgain);
    }
  }
}

TEST(RingOnGpu, RefusesWhatItCannotDo) {
  const auto& kernel = *gpus_under_test().front();
  const Problem problem{.head_dim = 8, .documents = Documents::single(16)};
  comm::run_threads(even_topology(2, 2), [&](comm::Communicator& communicator) {
    const auto reason = [&](auto make) -> std::string {
      try {
        make();
      } catch (const InputError& error) {
        return error.what();
      }
      return "no InputError";
    };
    const auto construct = [&](const Plan& plan, std::shared_ptr<device::Stream> stream) {
      return reason([&] { RingAttention(plan, communicator, kernel, std::move(stream)); });
    };
    const auto& topology = communicator.topology();
    const auto ring = make_plan(
        problem, topology, {.schedule = annulus::Schedule::ring, .data_type = DataType::float32});
    EXPECT_THAT(construct(make_plan(problem, topology,
                                    {.schedule = annulus::Schedule::node_ring,
                                     .data_type = DataType::float32}),
                          kernel.open_stream(0)),
                testing::HasSubstr("expected ring"));
    EXPECT_THAT(construct(ring, device::cpu_stream()), testing::HasSubstr("computes on cuda"));
    EXPECT_THAT(
        construct(make_plan(problem, topology,
                            {.schedule = annulus::Schedule::ring, .data_type = DataType::float64}),
                  kernel.open_stream(0)),
        testing::HasSubstr("fp64"));
    EXPECT_THAT(
        reason([&] { CachedAttention(problem, DataType::float32, communicator, kernel, 1); }),
        testing::HasSubstr("cache"));
  });
  EXPECT_THROW(
      by_ranks(random_problem<float>({.head_dim = 257, .documents = Documents::single(4)}, 1), 1,
               kernel),
      InputError);
}

#if ANNULUS_TEST_ON_GPU
// More tiles than a GPU has multiprocessors, and lengths that no tile divides: what the model has
// no time for.
TEST(RingOnGpu, LongSequences) {
  for (const Index length : {1031, 4099}) {
    for (const Index d : {64, 128}) {
      expect_exact_in_every_type({.query_heads = 2,
                                  .key_heads = 1,
                                  .head_dim = d,
                                  .documents = Documents::single(length),
                                  .mask = d == 64 ? Mask::full() : Mask::causal(),
                                  .logit_scale = LogitScale::parse("ssmax:s=0.4")},
                                 "n = " + std::to_string(length));
    }
  }
}

TEST(RingOnGpu, GradientsOfLongSequences) {
  for (const Index d : {64, 96, 128, 256}) {
    expect_gradients_in_every_type({.query_heads = 2,
                                    .key_heads = 1,
                                    .head_dim = d,
                                    .documents = Documents::single(1031),
                                    .mask = Mask::causal()},
                                   "d = " + std::to_string(d));
  }
  expect_gradients(
      random_problem<BFloat16>({.head_dim = 128, .documents = Documents::single(4099)}, 41),
      "n = 4099");
}

TEST(RingOnGpu, TheErrorDoesNotGrowWithTheSteps) {
  const Problem problem{.query_heads = 2,
                        .key_heads = 1,
                        .head_dim = 128,
                        .documents = Documents::single(4099),
                        .mask = Mask::causal()};
  const auto& kernel = *gpus_under_test().front();
  const auto check = [&](auto whole, double more) {
    const auto exact = direct(whole);
    const auto error = [&](int ranks) {
      const auto got = by_ranks(whole, ranks, kernel);
      double largest = 0;
      for (std::size_t i = 0; i < got.out.values.size(); ++i) {
        const auto number = static_cast<double>(got.out.values[i]);
        largest = std::max(largest, std::abs(number - exact.out.values[i]));
      }
      return largest;
    };
    const double one = error(1);
    for (const int ranks : {2, 8, 32}) EXPECT_LE(error(ranks), more * one) << ranks << " ranks";
  };
  // As on the model: the rounding of weights stays, the worst of fp32 sums is a matter of luck.
  check(random_problem<BFloat16>(problem, 5), 1.25);
  check(random_problem<Float16>(problem, 5), 1.25);
  check(random_problem<float>(problem, 5), 2);
}

TEST(RingOnGpu, EveryLongRunGivesTheSameBits) {
  const auto whole = random_problem<BFloat16>({.query_heads = 4,
                                               .key_heads = 2,
                                               .head_dim = 128,
                                               .documents = Documents::single(4099),
                                               .mask = Mask::causal()},
                                              37);
  const auto dout = random_dout<BFloat16>(whole.problem);
  const auto& kernel = *gpus_under_test().front();
  const auto first = gradients_by_ranks(whole, dout, 8, spread_for(8), kernel, true);
  const auto out = by_ranks(whole, 8, kernel).out.values;
  for (int repetition = 0; repetition < 5; ++repetition) {
    const auto got = gradients_by_ranks(whole, dout, 8, spread_for(8), kernel, true);
    EXPECT_EQ(got.dq.values, first.dq.values);
    EXPECT_EQ(got.dk.values, first.dk.values);
    EXPECT_EQ(got.dv.values, first.dv.values);
    EXPECT_EQ(by_ranks(whole, 8, kernel).out.values, out);
  }
}
#else
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
#endif

}  // namespace
}  // namespace annulus::test
