// The backward kernels against the definition in fp64.
#include "kernels/cuda/gradients.hpp"
#include "support/rounded_factors.hpp"

namespace annulus::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

const std::vector<GpuRun> in_one_and_three_shards{
    {}, {.sharding = Sharding::striped, .shards = 3, .reversed = true}};

TEST(CudaBackward, EveryKernelDimensionAndThoseBetween) {
  for (const Index d : {64, 96, 128, 256, 1, 3, 40, 65, 100, 129, 250}) {
    expect_gradients_on_gpu({.query_heads = 1,
                             .key_heads = 1,
                             .head_dim = d,
                             .documents = Documents::single(149),
                             .mask = Mask::causal()});
  }
}

TEST(CudaBackward, ValueDimensionsOfTheirOwn) {
  expect_gradients_on_gpu({.head_dim = 5, .value_dim = 64, .documents = Documents::single(53)});
  expect_gradients_on_gpu({.head_dim = 66, .value_dim = 7, .documents = Documents::single(53)});
}

TEST(CudaBackward, EveryLengthAroundATile) {
  for (const Index length : {1, 2, 7, 15, 17, 63, 64, 65, 127, 129}) {
    for (const auto& mask : {Mask::full(), Mask::causal()}) {
      expect_gradients_on_gpu(
          {.head_dim = 8, .documents = Documents::single(length), .mask = mask});
    }
  }
}

TEST(CudaBackward, EveryMaskAndSharding) {
  std::vector<GpuRun> runs;
  for (const auto sharding : all_shardings()) {
    for (const int shards : {1, 3}) {
      runs.push_back({.sharding = sharding,
                      .shards = shards,
                      .statistics = false,
                      .reversed = sharding == Sharding::zigzag});
    }
  }
  for (const auto* mask : {"full", "causal", "window:0", "window:7,3", "window:90,60"}) {
    expect_gradients_on_gpu(
        random_problem<BFloat16>(
            {.head_dim = 16, .documents = Documents::single(211), .mask = Mask::parse(mask)}, 3),
        runs);
  }
}

TEST(CudaBackward, GroupedHeads) {
  for (const Index key_heads : {1, 2, 6}) {
    expect_gradients_on_gpu({.query_heads = 6,
                             .key_heads = key_heads,
                             .head_dim = 24,
                             .documents = Documents::single(113),
                             .mask = Mask::causal()});
  }
}

TEST(CudaBackward, PackedDocumentsAndRowsThatSeeNothing) {
  const auto documents = Documents::packed({0, 1, 60, 60, 97, 100}, {0, 3, 20, 31, 90, 90});
  for (const auto& mask : {Mask::full(), Mask::causal(), Mask::window(2, 1)}) {
    expect_gradients_on_gpu(
        {.query_heads = 2, .key_heads = 2, .head_dim = 6, .documents = documents, .mask = mask},
        {{}, {.sharding = Sharding::zigzag, .shards = 3}});
  }
}

TEST(CudaBackward, NegativeAndZeroScalesAndSinks) {
  const Problem problem{.query_heads = 4,
                        .key_heads = 2,
                        .head_dim = 9,
                        .documents = Documents::single(127, 101),
                        .mask = Mask::causal(),
                        .logit_scale = LogitScale::table()};
  auto whole = random_problem<float>(problem, 5);
  for (std::size_t i = 0; i < whole.table.size(); i += 7) whole.table[i] = 0;
  whole.gain = {-2, 0, 1, 0.25};
  whole.sink = {0, 2.5, -infinity, 30};
  expect_gradients_on_gpu(whole, in_one_and_three_shards);
}

TEST(CudaBackward, LargeLogits) {
  const Problem problem{
      .head_dim = 16, .documents = Documents::single(131), .mask = Mask::causal()};
  for (const double size : {30.0, 1e3}) {
    expect_gradients_on_gpu(random_problem<float>(problem, 11, size), in_one_and_three_shards,
                            Sharpness::any);
  }
}

TEST(CudaBackward, AnyOrderOfWarpsGivesTheSameBits) {
  const auto expect_same = [](const auto& whole, const auto& dout) {
    const auto first = gradients_on_gpu(whole, dout);
    for (const Schedule& schedule : {Schedule{LaneOrder::backward}, {LaneOrder::shuffled, 1}}) {
      const auto other = gradients_on_gpu(whole, dout, {.schedule = schedule});
      EXPECT_EQ(first.dq.values, other.dq.values);
      EXPECT_EQ(first.dk.values, other.dk.values);
      EXPECT_EQ(first.dv.values, other.dv.values);
      EXPECT_EQ(first.dgain, other.dgain);
    }
  };
  for (const Index d : {64, 96, 128, 256}) {
    const Problem problem{.query_heads = 2,
                          .key_heads = 1,
                          .head_dim = d,
                          .documents = Documents::single(139),
                          .mask = Mask::window(90, 20)};
    expect_same(random_problem<float>(problem, 8), random_dout<float>(problem));
    expect_same(random_problem<BFloat16>(problem, 8), random_dout<BFloat16>(problem));
  }
}

template <class T>
double largest_difference(const Tensor<T>& a, const Tensor<double>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a.values[i]) - b.values[i]));
  }
  return largest;
}

template <class T>
void expect_at_most_twice_the_rounding(const Problem& problem) {
  const auto whole = random_problem<T>(problem, 6);
  const auto dout = random_dout<T>(problem);
  const auto exact = direct_gradients_of(whole, dout);
  const auto rounded = with_rounded_factors(whole, dout).gradients;
  for (const int key_shards : {1, 16}) {
    SCOPED_TRACE(std::to_string(key_shards) + " steps");
    const auto got = gradients_on_gpu(whole, dout, {.key_shards = key_shards, .statistics = false});
    EXPECT_LE(largest_difference(got.dq, exact.dq), 2 * largest_difference(rounded.dq, exact.dq));
    EXPECT_LE(largest_difference(got.dk, exact.dk), 2 * largest_difference(rounded.dk, exact.dk));
    EXPECT_LE(largest_difference(got.dv, exact.dv), 2 * largest_difference(rounded.dv, exact.dv));
  }
}

// And so for any number of steps of a ring: its sums have at least the digits of fp32.
TEST(CudaBackward, SixteenBitsCostAtMostTwiceWhatRoundingTheWeightsCosts) {
  const Problem problem{.query_heads = 2,
                        .key_heads = 1,
                        .head_dim = 64,
                        .documents = Documents::single(331),
                        .mask = Mask::causal()};
  expect_at_most_twice_the_rounding<BFloat16>(problem);
  expect_at_most_twice_the_rounding<Float16>(problem);
}

}  // namespace
}  // namespace annulus::test
