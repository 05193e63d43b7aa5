// The forward kernel against the definition in fp64: any length, mask, way of cutting the sequence,
// head dimension and size of logits.
#include "kernels/cuda/test.hpp"

namespace annulus::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

const std::vector<GpuRun> in_one_and_three_shards{
    {}, {.sharding = Sharding::striped, .shards = 3, .reversed = true}};

TEST(CudaForward, EveryKernelDimensionAndThoseBetween) {
  for (const Index d : {64, 96, 128, 256, 1, 3, 40, 65, 100, 129, 250}) {
    expect_exact_on_gpu({.query_heads = 1,
                         .key_heads = 1,
                         .head_dim = d,
                         .documents = Documents::single(149),
                         .mask = Mask::causal()});
  }
}

TEST(CudaForward, ValueDimensionsOfTheirOwn) {
  expect_exact_on_gpu({.head_dim = 5, .value_dim = 64, .documents = Documents::single(53)});
  expect_exact_on_gpu({.head_dim = 66, .value_dim = 7, .documents = Documents::single(53)});
}

TEST(CudaForward, EveryLengthAroundATile) {
  for (const Index length : {1, 2, 7, 15, 17, 63, 64, 65, 127, 128, 129, 257}) {
    for (const auto& mask : {Mask::full(), Mask::causal()}) {
      expect_exact_on_gpu({.head_dim = 8, .documents = Documents::single(length), .mask = mask});
    }
  }
}

TEST(CudaForward, EveryMaskAndSharding) {
  std::vector<GpuRun> runs;
  for (const auto sharding : all_shardings()) {
    for (const int shards : {1, 2, 5}) {
      runs.push_back({.sharding = sharding, .shards = shards, .reversed = shards == 2});
    }
  }
  for (const auto* mask :
       {"full", "causal", "window:0", "window:7,3", "window:0,11", "window:140,60"}) {
    expect_exact_on_gpu(
        random_problem<BFloat16>(
            {.head_dim = 16, .documents = Documents::single(307), .mask = Mask::parse(mask)}, 3),
        runs);
  }
}

TEST(CudaForward, GroupedHeads) {
  for (const Index key_heads : {1, 2, 3, 6}) {
    expect_exact_on_gpu({.query_heads = 6,
                         .key_heads = key_heads,
                         .head_dim = 24,
                         .documents = Documents::single(113),
                         .mask = Mask::causal()});
  }
}

TEST(CudaForward, PackedDocumentsAndRowsThatSeeNothing) {
  const auto documents = Documents::packed({0, 1, 60, 60, 137, 140}, {0, 3, 20, 31, 120, 120});
  for (const auto& mask : {Mask::full(), Mask::causal(), Mask::window(2, 1)}) {
    expect_exact_on_gpu(
        {.query_heads = 2, .key_heads = 2, .head_dim = 6, .documents = documents, .mask = mask},
        {{},
         {.sharding = Sharding::zigzag, .shards = 3},
         {.sharding = Sharding::striped, .shards = 4}});
  }
}

TEST(CudaForward, MoreQueriesThanKeysAndTheReverse) {
  for (const auto& mask : {Mask::full(), Mask::causal(), Mask::window(100, 30)}) {
    for (const auto& documents : {Documents::single(211, 67), Documents::single(5, 263)}) {
      expect_exact_on_gpu({.head_dim = 8, .documents = documents, .mask = mask},
                          in_one_and_three_shards);
    }
  }
}

TEST(CudaForward, WithoutStatistics) {
  for (const auto& mask : {Mask::full(), Mask::causal()}) {
    expect_exact_on_gpu(
        {.head_dim = 64, .documents = Documents::single(211), .mask = mask},
        {{.statistics = false}, {.sharding = Sharding::zigzag, .shards = 3, .statistics = false}});
  }
}

// z up to 10^5; weights of all keys but one are 0, and an exponent of base 2 that is not centred
// overflows.
TEST(CudaForward, LargeLogits) {
  const Problem problem{
      .head_dim = 16, .documents = Documents::single(211), .mask = Mask::causal()};
  for (const double size : {1e-3, 30.0, 1e3, 1e4}) {
    const auto sharpness = size < 1e3 ? Sharpness::tenth : Sharpness::any;
    expect_exact_on_gpu(random_problem<float>(problem, 11, size), in_one_and_three_shards,
                        sharpness);
    expect_exact_on_gpu(random_problem<BFloat16>(problem, 11, size), in_one_and_three_shards,
                        sharpness);
  }
  expect_exact_on_gpu(random_problem<Float16>(problem, 11, 1e3), in_one_and_three_shards,
                      Sharpness::any);
}

// Two queries that see keys with the largest logits of both signs.
TEST(CudaForward, LogitsAtTheEndsOfTheRange) {
  const float root = std::sqrt(std::numeric_limits<float>::max()) * 0.875F;
  WholeProblem<float> whole{.problem = {.head_dim = 1,
                                        .documents = Documents::single(2, 120),
                                        .logit_scale = LogitScale::parse("none:base=1")},
                            .q = {2, 1, 1},
                            .k = {120, 1, 1},
                            .v = {120, 1, 1},
                            .gain = {},
                            .sink = {},
                            .table = {}};
  whole.q.values = {root, -root};
  for (std::size_t j = 0; j < 120; ++j) {
    whole.k.values[j] = j % 2 == 0 ? -root : root;
    whole.v.values[j] = static_cast<float>(j % 2);
  }
  const auto got = attend_on_gpu(whole);
  for (Index i = 0; i < 2; ++i) {
    EXPECT_EQ(got.out.at(i, 0, 0), static_cast<float>(1 - i));
    EXPECT_EQ(got.lse.at(i, 0, 0), root * root);
    EXPECT_NEAR(got.statistics[0].at(i, 0, 0), std::log(60.0), 1e-6);
    EXPECT_EQ(got.statistics[2].at(i, 0, 0), 60.0F);
    EXPECT_EQ(got.statistics[4].at(i, 0, 0), root * root);
  }
}

TEST(CudaForward, NegativeAndZeroScales) {
  const Problem problem{.query_heads = 4,
                        .key_heads = 2,
                        .head_dim = 9,
                        .documents = Documents::single(127),
                        .logit_scale = LogitScale::table()};
  auto whole = random_problem<float>(problem, 5, 4.0);
  for (std::size_t i = 0; i < whole.table.size(); i += 7) whole.table[i] = 0;
  whole.gain = {-2, 0, 1, 0.25};
  expect_exact_on_gpu(whole, in_one_and_three_shards);
}

template <class T>
void expect_exact_with_sinks() {
  for (const auto& mask : {Mask::full(), Mask::causal()}) {
    auto whole = random_problem<T>({.query_heads = 6,
                                    .key_heads = 3,
                                    .head_dim = 5,
                                    .documents = Documents::single(137, 101),
                                    .mask = mask},
                                   21, 3.0);
    whole.sink = {0, 2.5, -infinity, -40, 1e4, 90};
    expect_exact_on_gpu(whole, in_one_and_three_shards);
  }
}

TEST(CudaForward, Sinks) {
  expect_exact_with_sinks<float>();
  expect_exact_with_sinks<BFloat16>();
}

// A barrier or a wait too few gives a wrong result in some order.
TEST(CudaForward, AnyOrderOfWarpsGivesTheSameBits) {
  const auto expect_same = [](const auto& whole) {
    const auto first = attend_on_gpu(whole);
    for (const Schedule& schedule :
         {Schedule{LaneOrder::backward}, {LaneOrder::shuffled, 1}, {LaneOrder::shuffled, 2}}) {
      const auto other = attend_on_gpu(whole, {.schedule = schedule});
      EXPECT_EQ(first.out.values, other.out.values);
      EXPECT_EQ(first.lse.values, other.lse.values);
      EXPECT_EQ(first.statistics[0].values, other.statistics[0].values);
    }
  };
  for (const Index d : {64, 96, 128, 256}) {
    const Problem problem{
        .head_dim = d, .documents = Documents::single(307), .mask = Mask::window(150, 20)};
    expect_same(random_problem<float>(problem, 8));
    expect_same(random_problem<BFloat16>(problem, 8));
  }
}

/// The largest error of `out` against the definition.
template <class T>
double error_of(WholeProblem<T>& whole, const GpuRun& run, const Outputs<double>& exact) {
  const auto got = attend_on_gpu(whole, run);
  double largest = 0;
  for (std::size_t i = 0; i < got.out.values.size(); ++i) {
    largest =
        std::max(largest, std::abs(static_cast<double>(got.out.values[i]) - exact.out.values[i]));
  }
  return largest;
}

// Sums of steps add up in fp64.
TEST(CudaForward, TheErrorDoesNotGrowWithTheStepsOfARing) {
  const Problem problem{.query_heads = 2,
                        .key_heads = 1,
                        .head_dim = 32,
                        .documents = Documents::single(521),
                        .mask = Mask::causal(),
                        .logit_scale = LogitScale::parse("ssmax:s=0.4")};
  const auto check = [](auto whole, double more) {
    const auto exact = direct(whole);
    const double one = error_of(whole, {}, exact);
    for (const int steps : {2, 8, 64}) {
      const GpuRun run{.sharding = Sharding::contiguous, .key_shards = steps, .statistics = false};
      EXPECT_LE(error_of(whole, run, exact), more * one) << steps << " steps";
    }
  };
  // The rounding of weights does not change, but its sum has another order: a few per cent.
  check(random_problem<BFloat16>(problem, 5), 1.25);
  check(random_problem<Float16>(problem, 5), 1.25);
  // Sums of fp32 themselves, whose worst of 33344 numbers is a matter of luck.
  check(random_problem<float>(problem, 5), 2);
}

/// What bf16 or fp16 costs: weights e^(z - m) rounded to T, everything else exact.
template <class T>
double error_of_rounded_weights(const WholeProblem<T>& whole, const Outputs<double>& exact) {
  const auto& problem = whole.problem;
  const double scale = problem.logit_scale.base(problem.head_dim);
  double largest = 0;
  for (Index h = 0; h < problem.query_heads; ++h) {
    for (Index i = 0; i < whole.q.rows; ++i) {
      std::vector<double> z;
      for (Index j = 0; j <= i; ++j) {
        double dot = 0;
        for (Index c = 0; c < problem.head_dim; ++c) {
          dot +=
              static_cast<double>(whole.q.at(i, h, c)) * static_cast<double>(whole.k.at(j, h, c));
        }
        z.push_back(scale * dot);
      }
      const double maximum = *std::ranges::max_element(z);
      std::vector<double> out(static_cast<std::size_t>(problem.output_dim()));
      double sum = 0;
      for (Index j = 0; j <= i; ++j) {
        const double weight = std::exp(z[static_cast<std::size_t>(j)] - maximum);
        sum += weight;
        for (std::size_t c = 0; c < out.size(); ++c) {
          out[c] += static_cast<double>(T(weight)) *
                    static_cast<double>(whole.v.at(j, h, static_cast<Index>(c)));
        }
      }
      for (std::size_t c = 0; c < out.size(); ++c) {
        largest =
            std::max(largest, std::abs(out[c] / sum - exact.out.at(i, h, static_cast<Index>(c))));
      }
    }
  }
  return largest;
}

TEST(CudaForward, SixteenBitsCostAtMostTwiceWhatRoundingTheWeightsCosts) {
  const auto check = [](auto whole) {
    const auto exact = direct(whole);
    EXPECT_LE(error_of(whole, {}, exact), 2 * error_of_rounded_weights(whole, exact));
  };
  const Problem problem{
      .head_dim = 64, .documents = Documents::single(401), .mask = Mask::causal()};
  check(random_problem<BFloat16>(problem, 6));
  check(random_problem<Float16>(problem, 6));
}

}  // namespace
}  // namespace annulus::test
