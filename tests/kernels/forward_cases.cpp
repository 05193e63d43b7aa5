// The forward pass of every backend: any size of logits, without statistics, and how exact it is.
#include "kernels/kernel_suite.hpp"
#include "support/rounded_factors.hpp"

namespace annulus::test {
namespace {

TEST_P(ForwardKernel, WithoutStatistics) {
  const std::vector<KernelRun> runs = {
      {.statistics = false}, {.sharding = Sharding::zigzag, .shards = 3, .statistics = false}};
  for (const auto& mask : {Mask::full(), Mask::causal()}) {
    expect_outputs({.head_dim = 64, .documents = Documents::single(211), .mask = mask}, runs);
  }
  // Rows that see nothing, in tiles with others and alone.
  for (const auto& documents :
       {Documents::single(211, 67), Documents::packed({0, 20, 40, 60}, {0, 20, 20, 40})}) {
    expect_outputs({.head_dim = 8, .documents = documents, .mask = Mask::causal()}, runs);
  }
}

// Heads of a group may then share a tile, and keys be cut into parts.
TEST_P(ForwardKernel, FewQueriesOverManyKeys) {
  for (const Index queries : {1, 3, 21}) {
    for (const auto* mask : {"causal", "window:500,20"}) {
      for_each_type([&]<class T>() {
        expect_outputs(random_problem<T>({.query_heads = 10,
                                          .key_heads = 2,
                                          .head_dim = 16,
                                          .value_dim = 24,
                                          .documents = Documents::single(queries, 1031),
                                          .mask = Mask::parse(mask)},
                                         seed<T>()),
                       {{.statistics = queries != 3}});
      });
    }
  }
  // Several sequences, each with a query or a few of its own.
  expect_outputs({.query_heads = 4,
                  .key_heads = 1,
                  .head_dim = 16,
                  .documents = Documents::packed({0, 1, 4, 6}, {0, 400, 403, 1100}),
                  .mask = Mask::causal()},
                 in_one_and_three_shards);
}

// Training goes wrong before anybody asks why: what is not a number must show, in the rows that it
// is of, and in no others.
TEST_P(ForwardKernel, NotANumberShowsInTheRowsThatSeeIt) {
  constexpr Index query = 50;
  constexpr Index key = 101;
  for_each_type([&]<class T>() {
    for (const Index queries : {1, 211}) {
      const auto documents = Documents::single(queries, 211);
      const Problem problem{.head_dim = 16, .documents = documents, .mask = Mask::causal()};
      const auto clean = random_problem<T>(problem, seed<T>());
      auto whole = clean;
      whole.k.at(key, 0, 3) = T(std::numeric_limits<float>::quiet_NaN());
      if (queries > query) whole.q.at(query, 0, 3) = T(std::numeric_limits<float>::quiet_NaN());
      for (const auto& run : in_one_and_three_shards) {
        const auto got = attend_by(kernel(), whole, run);
        const auto expected = attend_by(kernel(), clean, run);
        for (Index i = 0; i < queries; ++i) {
          const bool hit = i == query || i >= key - (211 - queries);
          const auto lse = got.lse.at(i, 0, 0);
          EXPECT_TRUE(hit ? std::isnan(lse) : lse == expected.lse.at(i, 0, 0)) << i;
          for (Index c = 0; c < 16; ++c) {
            const auto out = got.out.at(i, 0, c);
            EXPECT_TRUE(hit ? std::isnan(out) : out == expected.out.at(i, 0, c)) << i << ' ' << c;
          }
        }
      }
    }
  });
}

// z up to 10^5; weights of all keys but one are 0, and an exponent of base 2 that is not centred
// overflows.
TEST_P(ForwardKernel, LargeLogits) {
  const Problem problem{
      .head_dim = 16, .documents = Documents::single(211), .mask = Mask::causal()};
  for_each_type([&]<class T>() {
    for (const double size : {1e-3, 30.0, 1e3, 1e4}) {
      if (size > 1e3 && data_type_of<T> == DataType::float16) continue;  // has no such numbers
      expect_outputs(random_problem<T>(problem, 11, size), in_one_and_three_shards,
                     size < 1e3 ? Sharpness::tenth : Sharpness::any);
    }
  });
}

// Two queries that see keys with the largest logits of both signs.
TEST_P(ForwardKernel, LogitsAtTheEndsOfTheRange) {
  for_each_type([&]<class T>() {
    if constexpr (sizeof(T) == 2) {
      return;  // products of theirs are exact, and have not the range of the sums
    } else {
      const T root = std::sqrt(std::numeric_limits<T>::max()) * T{7} / T{8};
      WholeProblem<T> whole{.problem = {.head_dim = 1,
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
        whole.v.values[j] = static_cast<T>(j % 2);
      }
      const auto got = attend_by(kernel(), whole);
      for (Index i = 0; i < 2; ++i) {
        EXPECT_EQ(got.out.at(i, 0, 0), T(1 - i));
        EXPECT_EQ(got.lse.at(i, 0, 0), root * root);
        EXPECT_NEAR(static_cast<double>(got.statistic("entropy").at(i, 0, 0)), std::log(60.0),
                    8 * unit_roundoff(data_type_of<T>));
        EXPECT_EQ(got.statistic("participation").at(i, 0, 0), T{60});
        EXPECT_EQ(got.statistic("max_logit").at(i, 0, 0), root * root);
      }
    }
  });
}

// The state has the type of sums, from the first step of a ring to the last.
TEST_P(ForwardKernel, TheErrorDoesNotGrowWithTheStepsOfARing) {
  const Problem problem{.query_heads = 2,
                        .key_heads = 1,
                        .head_dim = 32,
                        .documents = Documents::single(521),
                        .mask = Mask::causal(),
                        .logit_scale = LogitScale::parse("ssmax:s=0.4")};
  for_each_type([&]<class T>() {
    auto whole = random_problem<T>(problem, 5);
    const auto exact = direct(whole).out;
    const auto error = [&](int steps) {
      const KernelRun run{.key_shards = steps, .statistics = false};
      return largest_error(attend_by(kernel(), whole, run).out, exact);
    };
    // The rounding of weights to 16 bits does not change, but its sum has another order: a few per
    // cent. Of sums themselves, the worst of 33344 numbers is a matter of luck.
    const double more =
        kernel().factor_type(data_type_of<T>) == data_type_of<T> && sizeof(T) == 2 ? 1.25 : 2;
    const double one = error(1);
    for (const int steps : {2, 8, 64}) {
      EXPECT_LE(error(steps), more * one) << name_of(data_type_of<T>) << ", " << steps << " steps";
    }
  });
}

TEST_P(ForwardKernel, SixteenBitsCostAtMostTwiceWhatRoundingTheWeightsCosts) {
  const Problem problem{
      .head_dim = 64, .documents = Documents::single(401), .mask = Mask::causal()};
  for_each_rounded_type([&]<class T>() {
    auto whole = random_problem<T>(problem, 6);
    const auto exact = direct(whole).out;
    const auto rounded = with_rounded_factors(whole, random_dout<T>(problem)).out;
    EXPECT_LE(largest_error(attend_by(kernel(), whole).out, exact),
              2 * largest_error(rounded, exact))
        << name_of(data_type_of<T>);
  });
}

}  // namespace
}  // namespace annulus::test
