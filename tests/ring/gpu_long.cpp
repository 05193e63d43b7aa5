// What the model of a GPU has no time for: more tiles than a GPU has multiprocessors, and lengths
// that no tile divides.
#include "ring/on_gpu.hpp"

namespace annulus::test {
namespace {

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
    const auto exact = direct(whole).out;
    const auto error = [&](int ranks) {
      return largest_error(attend_by_ranks(whole, ranks, spread_for(ranks), kernel).out, exact);
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
  const auto out = attend_by_ranks(whole, 8, spread_for(8), kernel).out.values;
  for (int repetition = 0; repetition < 5; ++repetition) {
    const auto got = gradients_by_ranks(whole, dout, 8, spread_for(8), kernel, true);
    EXPECT_EQ(got.dq.values, first.dq.values);
    EXPECT_EQ(got.dk.values, first.dk.values);
    EXPECT_EQ(got.dv.values, first.dv.values);
    EXPECT_EQ(attend_by_ranks(whole, 8, spread_for(8), kernel).out.values, out);
  }
}

}  // namespace
}  // namespace annulus::test
