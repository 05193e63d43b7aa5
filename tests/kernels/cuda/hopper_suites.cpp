// The cases of every backend for the kernels of compute capability 9.0, on the model of a
// thread block; and that no order of warps, lanes and tiles matters.
#include <array>
#include <cmath>

#include "kernels/cuda/kernel_under_test.hpp"
#include "support/rounded_factors.hpp"

namespace annulus::test {

namespace gpu = kernels::gpu;

INSTANTIATE_TEST_SUITE_P(Hopper, ForwardKernel, testing::Values(hopper_under_test()),
                         name_of_test<KernelUnderTest>);
INSTANTIATE_TEST_SUITE_P(Hopper, BackwardKernel,
                         testing::Values(hopper_under_test(), hopper_in_turns_under_test(),
                                         hopper_two_kernels_under_test()),
                         name_of_test<KernelUnderTest>);
INSTANTIATE_TEST_SUITE_P(Hopper, EitherPass, testing::ValuesIn(both_passes({hopper_under_test()})),
                         name_of_test<PassUnderTest>);

namespace {

/// Of devices whose gradients come from one kernel where there is one, and from two.
constexpr std::array memories{large_shared_memory, least_shared_memory};

/// Calls check.operator()<T>(problem) for every shape of the kernel.
template <class Check>
void for_each_kernel(Index length, const Mask& mask, Check check) {
  for (const Index d : {64, 128, 256}) {
    const Problem problem{.query_heads = 2,
                          .key_heads = 1,
                          .head_dim = d,
                          .documents = Documents::single(length),
                          .mask = mask};
    check.template operator()<BFloat16>(problem);
    check.template operator()<Float16>(problem);
  }
}

// A wait, a fence or an arrival too few gives a wrong result, or a block that hangs, in some order.
TEST(HopperOrder, OfWarpsLanesAndTilesDoesNotChangeABit) {
  for_each_kernel(307, Mask::window(150, 20), []<class T>(const Problem& problem) {
    const auto whole = random_problem<T>(problem, 8);
    const KernelRun run{.key_shards = 3, .by_states = true};
    const auto first = attend_by(*open_hopper({}), whole, run);
    for (const auto& schedule : other_model_schedules) {
      const auto other = attend_by(*open_hopper(schedule), whole, run);
      EXPECT_EQ(first.out.values, other.out.values);
      EXPECT_EQ(first.lse.values, other.lse.values);
      EXPECT_EQ(first.statistic("entropy").values, other.statistic("entropy").values);
    }
  });
}

/// That gradients have the same bits whatever the schedule, on one multiprocessor and on more. Not
/// so many that turns would no longer pay, or other kernels would make them.
template <class T>
void expect_one_result(const Problem& problem, const gpu::Multiprocessors& memory,
                       int multiprocessors) {
  const auto whole = random_problem<T>(problem, 8);
  const auto dout = random_dout<T>(problem);
  const auto first = gradients_by(*open_hopper({}, 1, memory), whole, dout);
  for (const auto& schedule : model_schedules) {
    const auto other = gradients_by(*open_hopper(schedule, multiprocessors, memory), whole, dout);
    EXPECT_EQ(first.dq.values, other.dq.values);
    EXPECT_EQ(first.dk.values, other.dk.values);
    EXPECT_EQ(first.dv.values, other.dv.values);
    EXPECT_EQ(first.dgain, other.dgain);
  }
}

TEST(HopperOrder, OfWarpsLanesAndTilesDoesNotChangeABitBackward) {
  for_each_kernel(203, Mask::window(90, 20), []<class T>(const Problem& problem) {
    for (const auto& memory : memories) expect_one_result<T>(problem, memory, 2);
  });
}

// Blocks that add to the same sums, whichever starts or comes first, two of them when others are
// done: tiles of keys that meet the same queries, in part and as a whole, of two heads for each of
// two.
TEST(HopperOrder, OfBlocksDoesNotChangeABitOfTheGradientsOfQueries) {
  for (const Index d : {64, 128}) {
    expect_one_result<BFloat16>({.query_heads = 4,
                                 .key_heads = 2,
                                 .head_dim = d,
                                 .documents = Documents::packed({0, 270, 341}),
                                 .mask = Mask::causal()},
                                large_shared_memory, 5);
  }
}

// Tiles of one step, of two and of more, even and odd: the last one falls to either warp that adds
// and, at d = 64, to either owner. A block has one of them, two, or all.
TEST(HopperOrder, OfTilesOfFewStepsDoesNotChangeABitOfTheGradientsOfQueries) {
  for (const Index d : {64, 128}) {
    for (const Index queries : {40, 100, 170, 250}) {
      for (const int multiprocessors : {1, 2, 3}) {
        expect_one_result<BFloat16>({.head_dim = d, .documents = Documents::single(queries, 300)},
                                    large_shared_memory, multiprocessors);
      }
    }
  }
}

// Tiles of one step that all add to it: blocks take tickets as fast as they can, and owners still
// have sums of a tile when the next ones are brought.
TEST(HopperOrder, OfTilesOfOneStepDoesNotChangeABitOfTheGradientsOfQueries) {
  for (const Index d : {64, 128}) {
    expect_one_result<BFloat16>({.head_dim = d, .documents = Documents::single(40, 1300)},
                                large_shared_memory, 3);
  }
}

/// What a grid of a few blocks makes of a problem, each of which computes many tiles, few or one,
/// against one tile a block.
template <class T>
void expect_same_for_all_grids(const Problem& problem, const KernelRun& run = {}) {
  const auto whole = random_problem<T>(problem, 8);
  const auto alone = attend_by(*open_hopper({}, 10000), whole, run);
  for (const int multiprocessors : {1, 2, 3, 7}) {
    SCOPED_TRACE(multiprocessors);
    const auto got = attend_by(*open_hopper({LaneOrder::shuffled, 1}, multiprocessors), whole, run);
    EXPECT_EQ(alone.out.values, got.out.values);
    EXPECT_EQ(alone.lse.values, got.lse.values);
    if (!run.statistics) continue;
    EXPECT_EQ(alone.statistic("entropy").values, got.statistic("entropy").values);
    EXPECT_EQ(alone.statistic("self_probability").values, got.statistic("self_probability").values);
  }
}

// Tiles of 1, 2, 3 and more steps, of several documents and heads that share keys.
TEST(HopperGrid, OfAnySizeGivesTheSameBits) {
  for (const Index d : {64, 128, 256}) {
    Problem problem{.query_heads = 4,
                    .key_heads = 2,
                    .head_dim = d,
                    .documents = Documents::packed({0, 290, 301, 420}),
                    .mask = Mask::causal()};
    expect_same_for_all_grids<BFloat16>(problem);
    problem.mask = Mask::window(90, 20);
    expect_same_for_all_grids<Float16>(problem, {.key_shards = 2, .statistics = false});
  }
}

TEST(HopperGrid, OfAnySizeGivesTheSameBitsWhereHeadsShareATile) {
  expect_same_for_all_grids<Float16>({.query_heads = 12,
                                      .key_heads = 4,
                                      .head_dim = 40,
                                      .documents = Documents::single(24, 150),
                                      .mask = Mask::causal()});
}

// Panels count from the start of a tile, which is not where one of the block's ends.
TEST(HopperGrid, OfAnySizeGivesTheSameBitsOfPanels) {
  expect_same_for_all_grids<BFloat16>(
      {.query_heads = 8, .key_heads = 4, .head_dim = 16, .documents = Documents::single(70, 4501)});
}

// Heads with one panel and a bit, too: the next tile begins in the middle of one.
TEST(HopperGrid, OfAnySizeGivesTheSameBitsBackward) {
  const auto check = []<class T>(const Problem& problem) {
    const auto whole = random_problem<T>(problem, 8);
    const auto dout = random_dout<T>(problem);
    const auto alone = gradients_by(*open_hopper({}, 10000, least_shared_memory), whole, dout);
    for (const int multiprocessors : {1, 2, 3, 7}) {
      SCOPED_TRACE(multiprocessors);
      const auto got =
          gradients_by(*open_hopper({LaneOrder::shuffled, 1}, multiprocessors, least_shared_memory),
                       whole, dout);
      EXPECT_EQ(alone.dq.values, got.dq.values);
      EXPECT_EQ(alone.dk.values, got.dk.values);
      EXPECT_EQ(alone.dv.values, got.dv.values);
      EXPECT_EQ(alone.dgain, got.dgain);
    }
  };
  for (const Index d : {64, 128, 256}) {
    const Problem problem{.query_heads = 4,
                          .key_heads = 2,
                          .head_dim = d,
                          .documents = Documents::packed({0, 290, 301, 420}),
                          .mask = Mask::causal()};
    check.template operator()<BFloat16>(problem);
  }
  check.template operator()<Float16>(
      {.query_heads = 3, .key_heads = 1, .head_dim = 16, .documents = Documents::single(20, 4501)});
  check.template operator()<Float16>({.head_dim = 16, .documents = Documents::single(4130, 140)});
}

/// Gradients of blocks that take turns, on so many multiprocessors.
template <class T>
auto gradients_in_turns(const Schedule& schedule, int multiprocessors, const WholeProblem<T>& whole,
                        const Tensor<T>& dout) {
  auto device = large_shared_memory;
  device.count = multiprocessors;
  const ModelLauncher launcher(schedule, Order::early, device);
  const gpu::GpuKernel kernel(launcher, {.path = gpu::KernelPath::hopper});
  auto gradients = gradients_by(kernel, whole, dout);
  EXPECT_EQ(launcher.launches_together(), 1) << multiprocessors;
  return gradients;
}

// Tiles of 1 to 6 steps, the longest first, of several documents, and of a panel and a bit.
// More tiles than blocks, more blocks than run at once, and blocks that no tile is left for.
TEST(HopperGrid, OfAnySizeGivesTheSameBitsInTurns) {
  const auto check = []<class T>(const Problem& problem) {
    const auto whole = random_problem<T>(problem, 8);
    const auto dout = random_dout<T>(problem);
    const auto one = gradients_in_turns({}, 1, whole, dout);
    constexpr std::array blocks{2, 3, 7, 11};
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const auto other = gradients_in_turns(model_schedules[i], blocks[i], whole, dout);
      EXPECT_EQ(one.dq.values, other.dq.values);
      EXPECT_EQ(one.dk.values, other.dk.values);
      EXPECT_EQ(one.dv.values, other.dv.values);
    }
  };
  for (const Index d : {64, 128}) {
    check.template operator()<BFloat16>({.query_heads = 4,
                                         .key_heads = 4,
                                         .head_dim = d,
                                         .documents = Documents::packed({0, 290, 301, 380}),
                                         .mask = Mask::causal()});
  }
  check.template operator()<Float16>({.query_heads = 2,
                                      .key_heads = 2,
                                      .head_dim = 16,
                                      .documents = Documents::single(4130, 140)});
}

/// What a model of its own computes, against the definition.
template <class T>
void expect_as_defined(WholeProblem<T> whole) {
  const auto kernel = open_hopper({LaneOrder::shuffled, 3});
  const auto bounds = bounds_of(whole, *kernel);
  expect_close(attend_by(*kernel, whole), direct(whole), bounds, Sharpness::tenth);
}

/// Two panels and a bit of keys. So many heads that a block goes through all of them, where a GPU
/// that has room for more blocks would part them.
Problem problem_of_panels(Index queries) {
  return {.query_heads = 8,
          .key_heads = 8,
          .head_dim = 16,
          .documents = Documents::single(queries, 8501)};
}

// Their maxima stay or rise; a sink is a maximum that no product has.
TEST(HopperForward, PanelsMerge) {
  auto whole = random_problem<BFloat16>(problem_of_panels(20), 4);
  expect_as_defined(whole);
  whole.sink.assign(8, 5.0);
  expect_as_defined(whole);
}

// A panel goes on from the maximum of the last one: of products, and not of logits, which a scale
// above 1 makes so much larger that nothing would count beside it. Another shard of keys goes on
// from the maximum that is kept, over the scale: not quite the same product again, where a unit of
// 24 bits of such logits is hundredths of a weight. Keys are alike, so that every weight is 1; the
// values of the first panel are 0, of others 1.
TEST(HopperForward, PanelsOfEqualLogitsWeighTheSame) {
  constexpr Index panel = 4096;
  auto problem = problem_of_panels(20);
  problem.logit_scale = LogitScale::parse("critical:gamma=17");
  auto whole = random_problem<BFloat16>(problem, 9);
  const Index keys = whole.k.rows;
  for (Index j = 0; j < keys; ++j) {
    for (Index head = 0; head < 8; ++head) {
      for (Index c = 0; c < 16; ++c) {
        whole.k.at(j, head, c) = BFloat16(1000 * std::sin(static_cast<double>(16 * head + c)));
        whole.v.at(j, head, c) = BFloat16(j < panel ? 0.0F : 1.0F);
      }
    }
  }
  const double exact = static_cast<double>(keys - panel) / static_cast<double>(keys);
  for (const int key_shards : {1, 3}) {
    const auto got = attend_by(*open_hopper({}), whole, {.key_shards = key_shards});
    for (const float out : got.out.values) {
      EXPECT_NEAR(out, exact, 8 * unit_roundoff(DataType::float32) * exact);
    }
  }
}

// Products are 2048 in the first shard and 2048 - 1/256 in the second, at a scale of 164, so the
// maximum that is kept, 3e5, is off by 1/64 at most, and what it goes on from by 2^-22 of it more,
// which is 0.08 of a weight unless it is made up for. Values are 0, and 1 in the second shard.
TEST(HopperForward, ShardsOfLowerLogitsGoOnFromTheMaximum) {
  constexpr Index half = 1024;
  auto whole = random_problem<BFloat16>({.query_heads = 1,
                                         .key_heads = 1,
                                         .head_dim = 16,
                                         .documents = Documents::single(40, 2 * half),
                                         .logit_scale = LogitScale::parse("critical:gamma=21.5")},
                                        9);
  std::ranges::fill(whole.q.values, BFloat16(0.0F));
  std::ranges::fill(whole.k.values, BFloat16(0.0F));
  for (Index i = 0; i < whole.q.rows; ++i) {
    whole.q.at(i, 0, 0) = BFloat16(1024.0F);
    whole.q.at(i, 0, 1) = BFloat16(1.0F);
  }
  for (Index j = 0; j < 2 * half; ++j) {
    whole.k.at(j, 0, 0) = BFloat16(2.0F);
    if (j >= half) whole.k.at(j, 0, 1) = BFloat16(-0x1p-8F);
    for (Index c = 0; c < 16; ++c) whole.v.at(j, 0, c) = BFloat16(j < half ? 0.0F : 1.0F);
  }
  const auto exact = direct(whole);
  const auto got = attend_by(*open_hopper({}), whole, {.key_shards = 2});
  for (Index i = 0; i < whole.q.rows; ++i) {
    const double out = exact.out.at(i, 0, 0);
    EXPECT_NEAR(got.out.at(i, 0, 0), out,
                out * (1 - out) * (1.0 / 64 + unit_roundoff(DataType::bfloat16)));
  }
}

// 42 rows of 3 heads leave two lines of a tile empty.
TEST(HopperForward, HeadsShareATileThatTheyDoNotFill) {
  for (const Index group : {2, 3, 5}) {
    expect_as_defined(random_problem<Float16>({.query_heads = 2 * group,
                                               .key_heads = 2,
                                               .head_dim = 40,
                                               .documents = Documents::single(24, 150),
                                               .mask = Mask::causal()},
                                              5));
  }
}

// A box of keys and values goes past the end of a run, into rows of others that may be anything.
TEST(HopperForward, WhatLiesPastARunIsNotSeen) {
  const Problem problem{.query_heads = 1,
                        .key_heads = 1,
                        .head_dim = 100,
                        .documents = Documents::packed({0, 101, 191}),
                        .mask = Mask::causal()};
  auto whole = random_problem<BFloat16>(problem, 6);
  const auto kernel = open_hopper({});
  const auto right = attend_by(*kernel, whole);
  for (Index i = 101; i < whole.v.rows; ++i) {
    for (Index c = 0; c < whole.v.dim; ++c) {
      whole.v.at(i, 0, c) = BFloat16(std::numeric_limits<double>::quiet_NaN());
      whole.k.at(i, 0, c) = BFloat16(std::numeric_limits<double>::infinity());
    }
  }
  const auto got = attend_by(*kernel, whole);
  for (Index i = 0; i < 101; ++i) {
    EXPECT_EQ(got.lse.at(i, 0, 0), right.lse.at(i, 0, 0));
    for (Index c = 0; c < 100; ++c) EXPECT_EQ(got.out.at(i, 0, c), right.out.at(i, 0, c));
  }
}

/// Gradients by a model of its own are off by at most twice what rounding the factors of products
/// costs.
template <class T>
void expect_gradients_as_defined(const Problem& problem) {
  const auto whole = random_problem<T>(problem, 4);
  const auto dout = random_dout<T>(problem);
  const auto exact = direct_gradients_of(whole, dout);
  const auto rounded = with_rounded_factors(whole, dout).gradients;
  for (const auto& memory : memories) {
    const auto got = gradients_by(*open_hopper({LaneOrder::shuffled, 3}, 1, memory), whole, dout);
    EXPECT_LE(largest_error(got.dq, exact.dq), 2 * largest_error(rounded.dq, exact.dq));
    EXPECT_LE(largest_error(got.dk, exact.dk), 2 * largest_error(rounded.dk, exact.dk));
    EXPECT_LE(largest_error(got.dv, exact.dv), 2 * largest_error(rounded.dv, exact.dv));
  }
}

// The queries of four heads fill it.
TEST(HopperBackward, AFullPanelIsTheOnlyOne) {
  for (const Index d : {16, 128}) {
    expect_gradients_as_defined<Float16>({.query_heads = 4,
                                          .key_heads = 1,
                                          .head_dim = d,
                                          .documents = Documents::single(1024, 20)});
  }
}

// Two panels and a bit: of keys for dq, of the queries of three heads for dk and dv.
TEST(HopperBackward, PanelsAddUp) {
  expect_gradients_as_defined<BFloat16>(
      {.query_heads = 1, .key_heads = 1, .head_dim = 16, .documents = Documents::single(20, 8501)});
  for (const Index d : {16, 128}) {
    expect_gradients_as_defined<Float16>({.query_heads = 3,
                                          .key_heads = 1,
                                          .head_dim = d,
                                          .documents = Documents::single(2837, 20)});
  }
}

// As forward; a step of queries goes past the end of its run as one of keys does. Positions of a
// document end at 101, which ends no step and no tile.
void expect_that_what_lies_past_a_run_is_not_seen(const gpu::Multiprocessors& memory) {
  for (const Index d : {60, 100, 200}) {
    const Problem problem{.query_heads = 1,
                          .key_heads = 1,
                          .head_dim = d,
                          .documents = Documents::packed({0, 101, 191}),
                          .mask = Mask::causal()};
    auto whole = random_problem<BFloat16>(problem, 6);
    auto dout = random_dout<BFloat16>(problem);
    const auto kernel = open_hopper({}, 1, memory);
    const auto right = gradients_by(*kernel, whole, dout);
    for (Index i = 101; i < 191; ++i) {
      for (Index c = 0; c < d; ++c) {
        whole.q.at(i, 0, c) = BFloat16(std::numeric_limits<double>::infinity());
        whole.k.at(i, 0, c) = BFloat16(std::numeric_limits<double>::quiet_NaN());
        whole.v.at(i, 0, c) = BFloat16(-std::numeric_limits<double>::infinity());
        dout.at(i, 0, c) = BFloat16(std::numeric_limits<double>::quiet_NaN());
      }
    }
    const auto got = gradients_by(*kernel, whole, dout);
    for (Index i = 0; i < 101; ++i) {
      for (Index c = 0; c < d; ++c) {
        EXPECT_EQ(got.dq.at(i, 0, c), right.dq.at(i, 0, c));
        EXPECT_EQ(got.dk.at(i, 0, c), right.dk.at(i, 0, c));
        EXPECT_EQ(got.dv.at(i, 0, c), right.dv.at(i, 0, c));
      }
    }
  }
}

TEST(HopperBackward, WhatLiesPastARunIsNotSeen) {
  for (const auto& memory : memories) expect_that_what_lies_past_a_run_is_not_seen(memory);
}

// Scales that differ from head to head are factors of dk, and not of dq, before both are summed.
TEST(HopperBackward, ScalesThatDifferAreThoseOfTheirQueries) {
  for (const Index d : {64, 128}) {
    Problem problem{
        .query_heads = 4, .key_heads = 2, .head_dim = d, .documents = Documents::single(211)};
    problem.logit_scale = LogitScale::parse("critical:gamma=2");
    expect_gradients_as_defined<BFloat16>(problem);
    expect_gradients_as_defined<Float16>(problem);
  }
}

}  // namespace
}  // namespace annulus::test
