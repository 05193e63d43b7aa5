// The whole engine on a GPU, or on the model of one: streams, events, copies and kernels together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/device/device_tensor.hpp"
#include "annulus/device/tensor_copy.hpp"
#include "annulus/kernels/backend.hpp"
#include "ring/on_gpu.hpp"
#include "support/decode.hpp"

namespace annulus::test {
namespace {

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

// Queries of other ranks, some heads of own ones, states that are merged, sums with gaps.
TEST(RingOnGpu, EveryScheduleThatFits) {
  auto problem = Problem{.query_heads = 4,
                         .key_heads = 2,
                         .head_dim = 12,
                         .documents = Documents::packed({0, 17, 46}),
                         .mask = Mask::causal()};
  problem.logit_scale = LogitScale::parse("table");
  auto whole = random_problem<float>(problem, 11);
  whole.gain = {0.5, 2, -1, 1};
  whole.sink = {0.25, -std::numeric_limits<double>::infinity(), 3, -2};
  const auto dout = random_dout<float>(problem);
  const auto expected = direct(whole);
  const auto exact = direct_gradients_of(whole, dout);
  for (const auto* kernel : gpus_under_test()) {
    const auto roundings = kernels::Roundings::of(*kernel, DataType::float32);
    for (const int ranks : rank_counts_of_gpus()) {
      for (const auto& schedule : schedules_for(ranks, problem.query_heads)) {
        const auto spread = spread_for(ranks).by(schedule);
        SCOPED_TRACE(spread.text() + ", P = " + std::to_string(ranks));
        expect_close(attend_by_ranks(whole, ranks, spread, *kernel), expected,
                     bounds_of(whole, *kernel));
        expect_close(gradients_by_ranks(whole, dout, ranks, spread, *kernel, true), exact,
                     gradient_bounds_of(whole, dout, roundings), Sharpness::tenth,
                     sharpness_of_parameters(roundings));
        if (testing::Test::HasFailure()) return;
      }
    }
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
    const auto on_host = attend_by_ranks(whole, 1, spread_for(1), *kernel);
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
  });
  EXPECT_THROW(static_cast<void>(attend_by_ranks(
                   random_problem<float>({.head_dim = 257, .documents = Documents::single(4)}, 1),
                   1, spread_for(1), kernel)),
               InputError);
}

/// A prefill and tokens one by one, on every number of ranks.
template <class T>
void expect_decodes(const Problem& problem) {
  auto whole = random_problem<T>(problem, 23);
  const auto expected = direct(whole);
  for (const auto* kernel : gpus_under_test()) {
    const auto bounds = bounds_of(whole, *kernel);
    for (const int ranks : {1, 2, 3, 5}) {
      SCOPED_TRACE(std::string(name_of(data_type_of<T>)) + ", P = " + std::to_string(ranks));
      expect_close(
          decode(whole, problem, ranks, *kernel, chunks_then_one_by_one, sharding_for(ranks)),
          expected, bounds);
    }
  }
}

TEST(RingOnGpu, DecodesOverACache) {
  Problem problem{.query_heads = 6,
                  .key_heads = 2,
                  .head_dim = 24,
                  .value_dim = 16,
                  .documents = Documents::packed({0, 37, 38, 38, 90}),
                  .mask = Mask::causal(),
                  .logit_scale = LogitScale::critical(0.4)};
  expect_decodes<float>(problem);
  problem.mask = Mask::window(11);
  expect_decodes<BFloat16>(problem);
  expect_decodes<Float16>(problem);
}

// What a cache is given, and what it gives, may be in memory of the device as well.
TEST(RingOnGpu, DecodesTensorsOfTheDevice) {
  auto whole = random_problem<float>(
      {.query_heads = 4, .key_heads = 2, .head_dim = 8, .documents = Documents::single(71)}, 4);
  const auto& problem = whole.problem;
  const auto expected = direct(whole);
  for (const auto* kernel : gpus_under_test()) {
    for (const int ranks : {1, 2}) {
      Outputs<float> all(71, 4, 8);
      comm::run_threads(ranks, [&](comm::Communicator& communicator) {
        CachedAttention attention(problem, DataType::float32, communicator, *kernel);
        const auto chunk = attention.layout().next(std::vector<Index>{71});
        const auto rows = rows_of(chunk, communicator.rank(), problem.documents);
        const RankInputs<float> inputs(whole, rows, rows);
        // The stream of the caller, whose work is done before the cache reads what it wrote.
        const auto stream = kernel->open_stream(communicator.rank());
        const auto on_device = [&](ConstTensorView host) {
          device::DeviceTensor tensor(stream, host.type, host.rows, host.heads, host.dim);
          device::upload(*stream, tensor.view(), host);
          return tensor;
        };
        const auto q = on_device(inputs.q.view());
        const auto k = on_device(inputs.k.view());
        const auto v = on_device(inputs.v.view());
        Outputs<float> local(inputs.q.rows, 4, 8);
        const auto out = on_device(std::as_const(local.out).view());
        const auto lse = on_device(std::as_const(local.lse).view());
        stream->synchronize();
        attention.append(chunk, k.view(), v.view());
        attention.attend(chunk, q.view(), out.view(), {.lse = lse.view()});
        device::download(*stream, local.out.view(), out.view());
        device::download(*stream, local.lse.view(), lse.view());
        put_rows(all, rows, local.out.view(), local.lse.view(), {});
      });
      const auto bounds = bounds_of(whole, *kernel);
      SCOPED_TRACE("P = " + std::to_string(ranks));
      expect_close("out", all.out.values, expected.out.values, bounds.out.values);
      expect_close("lse", all.lse.values, expected.lse.values, bounds.lse.values);
    }
  }
}

}  // namespace
}  // namespace annulus::test
