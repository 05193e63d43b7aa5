// The backward pass of every backend: large logits, and how exact it is.
#include "kernels/kernel_suite.hpp"
#include "support/rounded_factors.hpp"

namespace annulus::test {
namespace {

TEST_P(BackwardKernel, LargeLogits) {
  const Problem problem{
      .head_dim = 16, .documents = Documents::single(131), .mask = Mask::causal()};
  for_each_type([&]<class T>() {
    if constexpr (sizeof(T) == 8) return;  // the reference has gradients below the normal numbers
    for (const double size : {30.0, 1e3}) {
      expect_gradients(random_problem<T>(problem, 11, size), in_one_and_three_shards,
                       Sharpness::any);
    }
  });
}

// Logits of 10^4 that are exact: ln 4 beside them keeps three digits in one fp32 number, and all of
// them in both terms of lse.
TEST_P(BackwardKernel, BothTermsOfLseCount) {
  constexpr Index keys = 4;
  const Problem problem{.head_dim = 2,
                        .documents = Documents::single(1, keys),
                        .logit_scale = LogitScale::parse("none:base=1")};
  for_each_type([&]<class T>() {
    auto whole = random_problem<T>(problem, seed<T>());
    Tensor<T> dout(1, 1, 2);
    dout.at(0, 0, 0) = T(1.0);
    dout.at(0, 0, 1) = T(0.0);
    whole.q.at(0, 0, 0) = T(100.0);
    whole.q.at(0, 0, 1) = T(0.0);
    for (Index j = 0; j < keys; ++j) {
      whole.k.at(j, 0, 0) = T(100.0);
      whole.k.at(j, 0, 1) = T(static_cast<double>(j));
      whole.v.at(j, 0, 0) = T(static_cast<double>(j * j));
    }
    const auto got = gradients_by(kernel(), whole, dout, {.statistics = false});
    // p = 1/4, and <dout, v> = j^2, whose mean is 7/2.
    const double most = 16 * unit_roundoff(data_type_of<Accumulator<T>>);
    for (Index j = 0; j < keys; ++j) {
      const double dz = (static_cast<double>(j * j) - 3.5) / 4;
      EXPECT_NEAR(got.dv.at(j, 0, 0), 0.25, 0.25 * most) << j;
      EXPECT_NEAR(got.dk.at(j, 0, 0), 100 * dz, 400 * most) << j;
    }
    EXPECT_NEAR(got.dq.at(0, 0, 1), (1 * -2.5 + 2 * 0.5 + 3 * 5.5) / 4, 8 * most);
  });
}

// As ForwardKernel has it. All keys that a query sees share its sum of weights.
TEST_P(BackwardKernel, NotANumberShowsInTheGradientsOfItsRows) {
  constexpr Index key = 101;
  const Problem problem{
      .head_dim = 16, .documents = Documents::single(131), .mask = Mask::causal()};
  for_each_type([&]<class T>() {
    auto whole = random_problem<T>(problem, seed<T>());
    const auto dout = random_dout<T>(problem);
    whole.k.at(key, 0, 3) = T(std::numeric_limits<float>::quiet_NaN());
    for (auto run : in_one_and_three_shards) {
      run.statistics = false;
      const auto got = gradients_by(kernel(), whole, dout, run);
      for (Index i = key; i < 131; ++i) EXPECT_TRUE(std::isnan(got.dq.at(i, 0, 0))) << i;
      for (Index j = 0; j < 131; ++j) {
        EXPECT_TRUE(std::isnan(got.dk.at(j, 0, 0))) << j;
        EXPECT_TRUE(std::isnan(got.dv.at(j, 0, 0))) << j;
      }
    }
  });
}

// Tiles that the row is in, of at most 128 rows, see no key from 256 on, and nothing of another
// head.
TEST_P(BackwardKernel, NotANumberStaysAwayFromWhatNoTileOfItsRowSees) {
  constexpr Index row = 160;
  constexpr Index first_unseen = 256;
  const Problem problem{.query_heads = 2,
                        .key_heads = 2,
                        .head_dim = 16,
                        .documents = Documents::single(first_unseen + 10),
                        .mask = Mask::causal()};
  for_each_type([&]<class T>() {
    const auto nan = T(std::numeric_limits<float>::quiet_NaN());
    const auto whole = random_problem<T>(problem, seed<T>());
    const auto dout = random_dout<T>(problem);
    const auto expect_the_rest = [&](const WholeProblem<T>& with_nan, const Tensor<T>& its_dout,
                                     Index first_of_its_head) {
      const auto got = gradients_by(kernel(), with_nan, its_dout, {.statistics = false});
      EXPECT_TRUE(std::isnan(got.dq.at(row, 0, 0)));
      for (Index head = 0; head < 2; ++head) {
        for (Index j = head == 0 ? first_of_its_head : 0; j < first_unseen + 10; ++j) {
          EXPECT_TRUE(head == 0 || std::isfinite(got.dq.at(j, head, 0))) << j;
          EXPECT_TRUE(std::isfinite(got.dk.at(j, head, 0))) << j << ", " << head;
          EXPECT_TRUE(std::isfinite(got.dv.at(j, head, 0))) << j << ", " << head;
        }
      }
    };
    auto query = whole;
    query.q.at(row, 0, 3) = nan;
    expect_the_rest(query, dout, first_unseen);
    auto its_dout = dout;
    its_dout.at(row, 0, 3) = nan;
    expect_the_rest(whole, its_dout, first_unseen);
    auto value = whole;
    value.v.at(60, 0, 3) = nan;
    expect_the_rest(value, dout, first_unseen + 10);
  });
}

TEST_P(BackwardKernel, WithMeansInPlaceOfOutputs) {
  for (const auto& mask : {Mask::full(), Mask::causal()}) {
    for_each_type([&]<class T>() {
      expect_gradients(
          random_problem<T>({.query_heads = 6,
                             .key_heads = 3,
                             .head_dim = 9,
                             .value_dim = 7,
                             .documents = Documents::packed({0, 60, 65, 162}, {0, 20, 20, 110}),
                             .mask = mask},
                            seed<T>()),
          {{.by_means = true},
           {.sharding = Sharding::striped, .shards = 3, .by_means = true, .lse_in_one = true}});
    });
  }
}

// Keys before the windows of one document, and of so many that no tile has a part in most rows:
// what dk and dv hold before does not count there either.
TEST_P(BackwardKernel, KeysThatNoQuerySeesGetGradientsOfZero) {
  for (const auto& documents : {Documents::single(7, 300), Documents::batch(7, 3, 40)}) {
    for_each_type([&]<class T>() {
      expect_gradients(random_problem<T>({.query_heads = 2,
                                          .key_heads = 2,
                                          .head_dim = 9,
                                          .value_dim = 7,
                                          .documents = documents,
                                          .mask = Mask::window(11, 0)},
                                         seed<T>()),
                       {{}, {.key_shards = 3}});
    });
  }
}

// Powers of two in dout make means that every type of sums has.
TEST_P(BackwardKernel, MeansThatAreExactDoNotChangeABit) {
  const Problem problem{.query_heads = 6,
                        .key_heads = 3,
                        .head_dim = 9,
                        .value_dim = 7,
                        .documents = Documents::single(131),
                        .mask = Mask::causal()};
  for_each_type([&]<class T>() {
    auto whole = random_problem<T>(problem, seed<T>());
    whole.sink = {0, 1, 2, -1, -2, 3};
    Tensor<T> dout(131, 6, 7);
    for (Index i = 0; i < 131; ++i) {
      for (Index h = 0; h < 6; ++h) {
        dout.at(i, h, (i + h) % 7) =
            static_cast<T>(std::ldexp(i % 2 == 0 ? 1.0F : -1.0F, static_cast<int>(i % 5 - 2)));
      }
    }
    const KernelRun run{.shards = 2, .statistics = false};
    auto by_means = run;
    by_means.by_means = true;
    const auto expected = gradients_by(kernel(), whole, dout, run);
    const auto got = gradients_by(kernel(), whole, dout, by_means);
    EXPECT_EQ(got.dq.values, expected.dq.values);
    EXPECT_EQ(got.dk.values, expected.dk.values);
    EXPECT_EQ(got.dv.values, expected.dv.values);
    EXPECT_EQ(got.dgain, expected.dgain);
    EXPECT_EQ(got.dsink, expected.dsink);
  });
}

// And so for any number of steps of a ring: sums have their type from the first to the last.
TEST_P(BackwardKernel, SixteenBitsCostAtMostTwiceWhatRoundingTheWeightsCosts) {
  const Problem problem{.query_heads = 2,
                        .key_heads = 1,
                        .head_dim = 64,
                        .documents = Documents::single(331),
                        .mask = Mask::causal()};
  for_each_rounded_type([&]<class T>() {
    const auto whole = random_problem<T>(problem, 6);
    const auto dout = random_dout<T>(problem);
    const auto exact = direct_gradients_of(whole, dout);
    const auto rounded = with_rounded_factors(whole, dout).gradients;
    for (const int steps : {1, 16}) {
      SCOPED_TRACE(std::string(name_of(data_type_of<T>)) + ", " + std::to_string(steps) + " steps");
      const auto got =
          gradients_by(kernel(), whole, dout, {.key_shards = steps, .statistics = false});
      EXPECT_LE(largest_error(got.dq, exact.dq), 2 * largest_error(rounded.dq, exact.dq));
      EXPECT_LE(largest_error(got.dk, exact.dk), 2 * largest_error(rounded.dk, exact.dk));
      EXPECT_LE(largest_error(got.dv, exact.dv), 2 * largest_error(rounded.dv, exact.dv));
    }
  });
}

}  // namespace
}  // namespace annulus::test
