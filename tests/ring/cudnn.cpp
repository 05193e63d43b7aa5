// The cudnn backend by the whole engine, and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/self.hpp"
#include "annulus/device/device_tensor.hpp"
#include "annulus/ring/cached_attention.hpp"
#include "support/cudnn_under_test.hpp"
#include "support/expect_close.hpp"
#include "support/gradients.hpp"

namespace annulus::test {
namespace {

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

/// Without statistics, by ranks on nodes of their own.
template <class T>
Outputs<float> by_ranks(const WholeProblem<T>& whole, int ranks, Spread spread,
                        const kernels::Kernel& kernel) {
  return attend_by_ranks(whole, ranks, spread.over_nodes_of(1), kernel, 1, Statistics::off);
}

template <class T>
void expect_exact(WholeProblem<T> whole, const std::vector<Spread>& spreads,
                  const std::vector<int>& rank_counts = {1, 2, 3, 5, 8}) {
  const auto expected = direct(whole);
  for (const auto* kernel : cudnn_under_test()) {
    const auto bounds = bounds_of(whole, *kernel);
    for (const auto& spread : spreads) {
      for (const int ranks : rank_counts) {
        SCOPED_TRACE(whole.problem.mask.name() + ", " + std::string(name_of(data_type_of<T>)) +
                     ", " + std::string(name_of(spread.queries)) +
                     ", P = " + std::to_string(ranks));
        const auto got = by_ranks(whole, ranks, spread, *kernel);
        expect_close("out", got.out.values, expected.out.values, bounds.out.values);
        expect_close("lse", got.lse.values, expected.lse.values, bounds.lse.values);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

/// Gradients as well, once from the shards that the forward pass held and once fetched again.
template <class T>
void expect_gradients(const WholeProblem<T>& whole, const Tensor<T>& dout,
                      const std::vector<Spread>& spreads, const std::vector<int>& rank_counts) {
  const auto expected = direct_gradients_of(whole, dout);
  for (const auto* kernel : cudnn_under_test()) {
    const auto roundings = kernels::Roundings::of(*kernel, data_type_of<T>);
    EXPECT_GT(roundings.partial, 0);
    const auto bounds = gradient_bounds_of(whole, dout, roundings);
    for (const auto& spread : spreads) {
      for (const int ranks : rank_counts) {
        const bool keep = ranks % 2 == 0;
        SCOPED_TRACE(whole.problem.mask.name() + ", " + std::string(name_of(data_type_of<T>)) +
                     ", " + std::string(name_of(spread.queries)) +
                     ", P = " + std::to_string(ranks) + (keep ? "" : ", fetched again"));
        expect_close(gradients_by_ranks(whole, dout, ranks, spread.over_nodes_of(1), *kernel, keep),
                     expected, bounds, Sharpness::tenth, sharpness_of_parameters(roundings));
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

template <class T>
void expect_gradients(const WholeProblem<T>& whole, const std::vector<Spread>& spreads) {
  expect_gradients(whole, random_dout<T>(whole.problem), spreads, {1, 2, 3, 4});
}

void expect_gradients_in_both_types(const Problem& problem, const std::vector<Spread>& spreads) {
  expect_gradients(random_problem<BFloat16>(problem, 51), spreads);
  expect_gradients(random_problem<Float16>(problem, 52), spreads);
}

void expect_exact_in_both_types(const Problem& problem, const std::vector<Spread>& spreads) {
  expect_exact(random_problem<BFloat16>(problem, 41), spreads);
  expect_exact(random_problem<Float16>(problem, 42), spreads);
}

std::vector<Spread> every_sharding() {
  std::vector<Spread> spreads;
  for (const auto sharding : all_shardings()) spreads.emplace_back(sharding);
  return spreads;
}

TEST(RingWithCudnn, EveryShardingFullAndCausal) {
  for (const auto& mask : {Mask::full(), Mask::causal()}) {
    expect_exact_in_both_types({.query_heads = 2,
                                .key_heads = 1,
                                .head_dim = 24,
                                .documents = Documents::single(61),
                                .mask = mask},
                               every_sharding());
  }
}

TEST(RingWithCudnn, GradientsOfEveryShardingFullAndCausal) {
  for (const auto& mask : {Mask::full(), Mask::causal()}) {
    expect_gradients_in_both_types({.query_heads = 2,
                                    .key_heads = 1,
                                    .head_dim = 24,
                                    .documents = Documents::single(61),
                                    .mask = mask},
                                   every_sharding());
  }
}

TEST(RingWithCudnn, DimensionsOfValuesAndManyHeads) {
  const Problem problem{.query_heads = 6,
                        .key_heads = 3,
                        .head_dim = 8,
                        .value_dim = 40,
                        .documents = Documents::single(37),
                        .mask = Mask::causal()};
  expect_exact_in_both_types(problem, {Sharding::zigzag});
  expect_gradients_in_both_types(problem, {Sharding::zigzag});
}

// Keys may be sharded in another way where there is no mask, or where strides are the same.
TEST(RingWithCudnn, KeysShardedInAnotherWay) {
  Problem problem{.head_dim = 8, .documents = Documents::single(29)};
  const auto full = random_problem<BFloat16>(problem, 4);
  expect_exact(full, {{Sharding::zigzag, Sharding::striped}});
  expect_gradients(full, {{Sharding::zigzag, Sharding::striped}});
  problem.mask = Mask::causal();
  const auto causal = random_problem<BFloat16>(problem, 5);
  expect_exact(causal, {{Sharding::zigzag, Sharding::contiguous}});
  expect_gradients(causal, {{Sharding::zigzag, Sharding::contiguous}});
}

TEST(RingWithCudnn, PackedDocumentsUniformGainsAndSinks) {
  const Problem problem{.query_heads = 4,
                        .key_heads = 2,
                        .head_dim = 16,
                        .documents = Documents::packed({0, 17, 17, 18, 47}),
                        .mask = Mask::causal()};
  auto whole = random_problem<BFloat16>(problem, 3);
  whole.gain = {1.75, 1.75, 1.75, 1.75};
  whole.sink = {0.25, minus_infinity, 3, -2};
  expect_exact(whole, every_sharding());
  expect_gradients(whole, every_sharding());
}

// One scale that is not 1/sqrt(d), and one that every query gets from a table.
TEST(RingWithCudnn, ScalesThatAreTheSameForAll) {
  Problem problem{.query_heads = 2,
                  .key_heads = 2,
                  .head_dim = 8,
                  .documents = Documents::single(61),
                  .mask = Mask::causal(),
                  .logit_scale = LogitScale::critical(0.3)};
  const auto critical = random_problem<BFloat16>(problem, 6);
  expect_exact(critical, {Sharding::zigzag});
  expect_gradients(critical, {Sharding::zigzag});
  problem.logit_scale = LogitScale::table();
  auto whole = random_problem<BFloat16>(problem, 7);
  for (auto& number : whole.table) number = 0.75;
  expect_exact(whole, {Sharding::zigzag});
  expect_gradients(whole, {Sharding::zigzag});
}

// More queries than keys: the first stand before all keys and see none, or only the sink.
TEST(RingWithCudnn, RowsThatSeeNothing) {
  const Problem problem{.query_heads = 2,
                        .key_heads = 1,
                        .head_dim = 8,
                        .documents = Documents::packed({0, 23, 30, 37}, {0, 9, 9, 29}),
                        .mask = Mask::causal()};
  auto whole = random_problem<BFloat16>(problem, 8);
  whole.sink = {minus_infinity, 1.5};
  ASSERT_EQ(direct(whole).lse.at(0, 0, 0), minus_infinity);
  expect_exact(whole, {Sharding::contiguous, Sharding::zigzag});
  expect_gradients(whole, {Sharding::contiguous, Sharding::zigzag});
}

// Also blocks of one query and one key, of which cuDNN has no gradients.
TEST(RingWithCudnn, RanksWithoutRows) {
  const Problem problem{.query_heads = 2,
                        .key_heads = 1,
                        .head_dim = 8,
                        .value_dim = 16,
                        .documents = Documents::single(3),
                        .mask = Mask::causal()};
  expect_exact_in_both_types(problem, {Sharding::contiguous, Sharding::zigzag});
  expect_gradients_in_both_types(problem, {Sharding::contiguous, Sharding::zigzag});
}

// Where dout is zero, so are the means, whatever the outputs.
TEST(RingWithCudnn, RowsWithoutGradient) {
  const auto whole = random_problem<BFloat16>(
      {.head_dim = 8, .documents = Documents::single(17), .mask = Mask::causal()}, 31);
  auto dout = random_dout<BFloat16>(whole.problem);
  for (const Index row : {0, 5, 16}) {
    for (Index c = 0; c < 8; ++c) dout.at(row, 0, c) = BFloat16(0.0);
  }
  expect_gradients(whole, dout, {Sharding::zigzag}, {1, 2});
}

// Logits that fp32 cannot raise e to: lse is what keeps the merge finite.
TEST(RingWithCudnn, LargeLogits) {
  expect_exact(
      random_problem<BFloat16>(
          {.head_dim = 16, .documents = Documents::single(33), .mask = Mask::causal()}, 9, 100),
      {Sharding::zigzag});
}

#if ANNULUS_TEST_ON_GPU
// Without it, the tests above have nothing to run.
TEST(RingWithCudnn, IsThere) {
  EXPECT_EQ(kernels::cudnn_problem(), "");
}

// What the model has no time for.
TEST(RingWithCudnn, LongSequences) {
  for (const Index length : {1031, 4099}) {
    for (const Index d : {64, 128}) {
      const Problem problem{.query_heads = 4,
                            .key_heads = 2,
                            .head_dim = d,
                            .documents = Documents::single(length),
                            .mask = d == 64 ? Mask::full() : Mask::causal()};
      expect_exact_in_both_types(problem, {Sharding::zigzag, Sharding::striped});
      expect_gradients_in_both_types(problem, {Sharding::zigzag, Sharding::striped});
    }
  }
}

TEST(RingWithCudnn, EveryLongRunGivesTheSameBits) {
  const auto whole = random_problem<BFloat16>({.query_heads = 4,
                                               .key_heads = 2,
                                               .head_dim = 128,
                                               .documents = Documents::single(4099),
                                               .mask = Mask::causal()},
                                              37);
  const auto dout = random_dout<BFloat16>(whole.problem);
  const auto spread = Spread(Sharding::zigzag).over_nodes_of(1);
  for (const auto* kernel : cudnn_under_test()) {
    const auto first = gradients_by_ranks(whole, dout, 4, spread, *kernel, true);
    for (int repetition = 0; repetition < 5; ++repetition) {
      const auto got = gradients_by_ranks(whole, dout, 4, spread, *kernel, true);
      EXPECT_EQ(got.dq.values, first.dq.values);
      EXPECT_EQ(got.dk.values, first.dk.values);
      EXPECT_EQ(got.dv.values, first.dv.values);
    }
  }
}
#else
TEST(RingWithCudnn, GivesBackItsMemory) {
  const auto whole = random_problem<BFloat16>(
      {.head_dim = 8, .documents = Documents::single(23), .mask = Mask::causal()}, 5);
  const ModelPairs pairs;
  for (const auto order : {Order::early, Order::late}) {
    const ModelLauncher launcher(Schedule{}, order);
    const kernels::gpu::CudnnKernel kernel(launcher, pairs);
    static_cast<void>(by_ranks(whole, 4, Sharding::zigzag, kernel));
    EXPECT_EQ(launcher.device().bytes_in_use(), 0U);
  }
}

/// Notes whether gradients are asked for in order, and computes nothing.
class NotedPairs final : public kernels::gpu::PairLibrary {
 public:
  [[nodiscard]] std::string problem() const override { return {}; }
  [[nodiscard]] std::unique_ptr<kernels::gpu::PairAttention> open(
      const std::shared_ptr<device::Stream>& /*stream*/) const override {
    return std::make_unique<Noted>(in_order_);
  }

  [[nodiscard]] const std::vector<bool>& in_order() const { return in_order_; }

 private:
  class Noted final : public kernels::gpu::PairAttention {
   public:
    explicit Noted(std::vector<bool>& in_order) : in_order_(in_order) {}
    void forward(const kernels::gpu::Pair&, const kernels::gpu::PairOutputs&) override {}
    void backward(const kernels::gpu::Pair&,
                  const kernels::gpu::PairGradients& gradients) override {
      in_order_.push_back(gradients.in_order);
    }

   private:
    std::vector<bool>& in_order_;
  };

  mutable std::vector<bool> in_order_;
};

TEST(RingWithCudnn, GradientsAreInOrderUnlessAnyOrderWillDo) {
  const auto whole =
      random_problem<BFloat16>({.head_dim = 8, .documents = Documents::single(23)}, 5);
  for (const bool in_order : {true, false}) {
    const ModelLauncher launcher;
    const NotedPairs pairs;
    const kernels::gpu::CudnnKernel kernel(launcher, pairs, in_order);
    static_cast<void>(gradients_by_ranks(whole, random_dout<BFloat16>(whole.problem), 1,
                                         Sharding::contiguous, kernel, true));
    EXPECT_EQ(pairs.in_order(), std::vector<bool>{in_order});
  }
  EXPECT_EQ(kernels::gpu::PairGradients().in_order, true);
}

/// What the kernels and the memory of a device are asked for.
struct Work {
  Index launches;
  std::size_t bytes;
};

/// By a forward pass of the blocks of a mask over `runs` runs of queries and keys of 32 rows each.
Work forward_work(const Mask& mask, Index runs, std::span<const double> sink) {
  constexpr Index rows = 32;
  constexpr Index d = 8;
  const ModelLauncher launcher;
  const ModelPairs pairs;
  const kernels::gpu::CudnnKernel kernel(launcher, pairs);
  const auto stream = launcher.open_stream(0);
  const device::DeviceTensor q(stream, DataType::bfloat16, runs * rows, 2, d);
  const device::DeviceTensor k(stream, DataType::bfloat16, runs * rows, 1, d);
  const device::DeviceTensor out(stream, DataType::float32, runs * rows, 2, d);
  const device::DeviceTensor lse(stream, DataType::float32, runs * rows, 2, 1);
  const std::vector<double> betas(static_cast<std::size_t>(runs * rows), 1);
  const std::vector<double> factors(2, 0.5);
  const auto before = launcher.device().bytes_allocated();
  const auto pass = kernel.forward({.q = q.view(),
                                    .scale = {.rows = dense_view(betas.data(), runs * rows, 1, 1),
                                              .heads = factors,
                                              .known_rows = betas},
                                    .sink = sink},
                                   {.key_heads = 1, .value_dim = d, .stream = stream});
  for (Index run = 0; run < runs; ++run) {
    const PlacedRows placed{.row = run * rows, .position = run * rows, .count = rows};
    const Block block{placed, placed, mask};
    pass->accumulate(k.view(), k.view(), {&block, 1}, {});
  }
  pass->finish({.out = out.view(), .lse = lse.view()});
  stream->synchronize();
  return {launcher.launches(), launcher.device().bytes_allocated() - before};
}

// A piece of all rows goes to the outputs at once: one kernel, and no memory but its own.
TEST(RingWithCudnn, OnePieceNeedsNoStates) {
  constexpr std::size_t numbers = 32 * 2;
  constexpr std::size_t piece_bytes = numbers * (8 * 2 + 4);
  for (const auto& mask : {Mask::full(), Mask::causal()}) {
    const auto work = forward_work(mask, 1, {});
    EXPECT_EQ(work.launches, 1);
    EXPECT_EQ(work.bytes, piece_bytes);
  }
  const std::vector<double> sink{0.5, 1};
  const auto with_sinks = forward_work(Mask::causal(), 1, sink);
  EXPECT_EQ(with_sinks.launches, 1);
  EXPECT_EQ(with_sinks.bytes, piece_bytes + sink.size() * 4);
}

// One kernel a piece, none of which clears; fp64 states from the second piece on.
TEST(RingWithCudnn, MorePiecesTakeOneKernelEach) {
  for (const Index runs : {2, 5}) {
    const auto numbers = static_cast<std::size_t>(32 * 2 * runs);
    const auto work = forward_work(Mask::causal(), runs, {});
    EXPECT_EQ(work.launches, runs);
    EXPECT_EQ(work.bytes, numbers * (8 * 2 + 4) + numbers * (8 * 8 + 8 + 4));
  }
}

TEST(RingWithCudnn, SaysWhatKeepsItFromTheLibrary) {
  const ModelPairs pairs("libcudnn.so.9 is not there");
  const ModelLauncher launcher;
  const kernels::gpu::CudnnKernel kernel(launcher, pairs);
  try {
    static_cast<void>(kernel.open_stream(0));
    FAIL() << "no InputError";
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("libcudnn.so.9 is not there"));
    EXPECT_THAT(error.what(), testing::HasSubstr("expected --backend cuda"));
  }
}
#endif

/// What is refused, and how.
class CudnnRefusal : public testing::Test {
 protected:
  template <class T>
  void expect_refused(const WholeProblem<T>& whole, const std::string& names,
                      Spread spread = Sharding::zigzag) {
    for (const auto* kernel : cudnn_under_test()) {
      try {
        static_cast<void>(by_ranks(whole, 2, spread, *kernel));
        ADD_FAILURE() << names << ": no InputError";
      } catch (const InputError& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr(names));
        EXPECT_THAT(error.what(), testing::HasSubstr("cudnn"));
      }
    }
  }

  /// Calls `start` with a kernel, queries and options that the kernel takes, which it may change.
  template <class Start>
  void expect_pass_refused(const std::string& names, Start start) {
    const auto q = random_problem<BFloat16>(problem_, 2).q;
    const std::vector<double> factors(static_cast<std::size_t>(q.heads), 0.5);
    const std::vector<double> betas(static_cast<std::size_t>(q.rows), 1);
    for (const auto* kernel : cudnn_under_test()) {
      const kernels::PassOptions options{
          .key_heads = 2, .value_dim = 8, .stream = kernel->open_stream(0)};
      try {
        start(*kernel,
              kernels::Queries{.q = q.view(),
                               .scale = {.rows = dense_view(betas.data(), q.rows, 1, 1),
                                         .heads = factors,
                                         .known_rows = betas},
                               .sink = {}},
              options);
        ADD_FAILURE() << names << ": no InputError";
      } catch (const InputError& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr(names));
        EXPECT_THAT(error.what(), testing::HasSubstr("--backend cuda"));
      }
    }
  }

  Problem problem_{.query_heads = 2,
                   .key_heads = 2,
                   .head_dim = 8,
                   .documents = Documents::single(32),
                   .mask = Mask::causal()};
};

TEST_F(CudnnRefusal, TypesOfMoreThan16Bits) {
  expect_refused(random_problem<float>(problem_, 1), "fp32");
}

TEST_F(CudnnRefusal, Caches) {
  comm::SelfCommunicator self;
  for (const auto* kernel : cudnn_under_test()) {
    try {
      CachedAttention(problem_, DataType::bfloat16, self, *kernel);
      ADD_FAILURE() << "no InputError";
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("backend cudnn has no states"));
    }
  }
}

TEST_F(CudnnRefusal, Windows) {
  for (const auto* mask : {"window:5", "window:7,3"}) {
    problem_.mask = Mask::parse(mask);
    expect_refused(random_problem<BFloat16>(problem_, 1), "--mask full and causal, not window");
  }
}

TEST_F(CudnnRefusal, MasksBetweenDifferentStrides) {
  expect_refused(random_problem<BFloat16>(problem_, 1), "--key-sharding",
                 {Sharding::zigzag, Sharding::striped});
}

TEST_F(CudnnRefusal, ScalesOfQueriesAndHeads) {
  auto whole = random_problem<BFloat16>(problem_, 1);
  whole.gain = {1, 2};
  expect_refused(whole, "equal gains");
  whole.gain = {-1, -1};
  expect_refused(whole, "scales above 0");
  problem_.logit_scale = LogitScale::parse("critical:gamma=2,length=visible");
  expect_refused(random_problem<BFloat16>(problem_, 1), "--logit-scale");
  problem_.logit_scale = LogitScale::table();
  expect_refused(random_problem<BFloat16>(problem_, 1), "--logit-scale");
}

TEST_F(CudnnRefusal, HeadDimensions) {
  problem_.head_dim = 12;
  expect_refused(random_problem<BFloat16>(problem_, 1), "head dimension 12");
  problem_.head_dim = 264;
  expect_refused(random_problem<BFloat16>(problem_, 1), "head dimension 264");
  problem_.head_dim = 8;
  problem_.value_dim = 9;
  expect_refused(random_problem<BFloat16>(problem_, 1), "head dimension 9");
}

TEST_F(CudnnRefusal, GradientsOfLse) {
  const auto whole = random_problem<BFloat16>(problem_, 1);
  const auto dout = random_dout<BFloat16>(problem_);
  for (const auto* kernel : cudnn_under_test()) {
    comm::SelfCommunicator self;
    const auto plan = make_plan(problem_, self.topology(),
                                Spread(Sharding::zigzag).options(DataType::bfloat16, *kernel));
    RingAttention attention(plan, self, *kernel, 1);
    PassTensors tensors(plan, 0, {.backward = true});
    const Tensor<float> dlse(whole.q.rows, whole.q.heads, 1);
    try {
      attention.backward({.q = whole.q.view(),
                          .k = whole.k.view(),
                          .v = whole.v.view(),
                          .out = tensors.out(),
                          .lse = tensors.lse(),
                          .dout = dout.view(),
                          .dlse = dlse.view()},
                         {.dq = tensors.dq(), .dk = tensors.dk(), .dv = tensors.dv()});
      ADD_FAILURE() << "no InputError";
    } catch (const InputError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("dlse: backend cudnn"));
    }
  }
}

TEST_F(CudnnRefusal, Statistics) {
  expect_pass_refused("--statistics", [](const auto& kernel, const auto& queries, auto options) {
    options.statistics = true;
    static_cast<void>(kernel.forward(queries, options));
  });
}

}  // namespace
}  // namespace annulus::test
