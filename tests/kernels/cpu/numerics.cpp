// Logits of any size and sign, sinks, and the accuracy of the exponential.
#include "kernels/cpu/test.hpp"

namespace annulus::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

class CpuNumerics : public CpuTest {};
INSTANTIATE_TEST_SUITE_P(, CpuNumerics, testing::ValuesIn(runnable_targets()), target_of);

const std::vector<CpuRun> in_one_and_three_shards{
    {}, {.sharding = Sharding::striped, .shards = 3, .reversed = true}};

TEST_P(CpuNumerics, LargeLogits) {
  const Problem problem{
      .head_dim = 16, .documents = Documents::single(211), .mask = Mask::causal()};
  for (const double size : {1e-3, 30.0, 1e3, 1e4}) {
    expect_exact_on_cpu(problem, in_one_and_three_shards, size,
                        size < 1e3 ? Sharpness::tenth : Sharpness::any);
  }
}

template <class T>
void expect_exact_with_negative_and_zero_scales() {
  const Problem problem{.query_heads = 4,
                        .key_heads = 2,
                        .head_dim = 9,
                        .documents = Documents::single(127),
                        .logit_scale = LogitScale::table()};
  auto whole = random_problem<T>(problem, 5, 4.0);
  for (std::size_t i = 0; i < whole.table.size(); i += 7) whole.table[i] = 0;
  whole.gain = {-2, 0, 1, 0.25};
  expect_exact_on_cpu(whole, in_one_and_three_shards);
}

TEST_P(CpuNumerics, NegativeAndZeroScales) {
  expect_exact_with_negative_and_zero_scales<double>();
  expect_exact_with_negative_and_zero_scales<BFloat16>();
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
    expect_exact_on_cpu(whole, in_one_and_three_shards);
  }
}

TEST_P(CpuNumerics, Sinks) {
  expect_exact_with_sinks<float>();
  expect_exact_with_sinks<double>();
  expect_exact_with_sinks<BFloat16>();
}

/// Two queries that see keys with the largest logits of both signs that T can hold.
template <class T>
void expect_finite_at_the_ends_of_the_range() {
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
  const auto got = attend_on_cpu(whole);
  for (Index i = 0; i < 2; ++i) {
    EXPECT_EQ(got.out.at(i, 0, 0), T(1 - i));
    EXPECT_EQ(got.lse.at(i, 0, 0), root * root);
    EXPECT_NEAR(static_cast<double>(got.statistics[0].at(i, 0, 0)), std::log(60.0),
                8 * unit_roundoff(data_type_of<T>));
    EXPECT_EQ(got.statistics[2].at(i, 0, 0), T{60});
    EXPECT_EQ(got.statistics[4].at(i, 0, 0), root * root);
  }
}

TEST_P(CpuNumerics, LogitsAtTheEndsOfTheRange) {
  expect_finite_at_the_ends_of_the_range<float>();
  expect_finite_at_the_ends_of_the_range<double>();
}

/// Query x against keys 0 and -1, scale 1: the second weight is e^-x / (1 + e^-x), and z is exact.
template <class T>
void expect_accurate_exponential(double largest) {
  constexpr Index points = 4001;
  WholeProblem<T> whole{.problem = {.head_dim = 1,
                                    .documents = Documents::single(points, 2),
                                    .logit_scale = LogitScale::parse("none:base=1")},
                        .q = {points, 1, 1},
                        .k = {2, 1, 1},
                        .v = {2, 1, 1},
                        .gain = {},
                        .sink = {},
                        .table = {}};
  for (Index i = 0; i < points; ++i) {
    whole.q.at(i, 0, 0) = static_cast<T>(largest * static_cast<double>(i) / points);
  }
  whole.k.values = {0, -1};
  whole.v.values = {0, 1};
  const auto got = attend_on_cpu(whole);
  const double u = unit_roundoff(data_type_of<T>);
  for (Index i = 0; i < points; ++i) {
    const double x = static_cast<double>(whole.q.at(i, 0, 0));
    const double exact = std::exp(-x) / (1 + std::exp(-x));
    // Roundings: reduction, polynomial, scaling, sum and quotient.
    EXPECT_NEAR(static_cast<double>(got.out.at(i, 0, 0)), exact, 5 * u * exact) << x;
  }
}

TEST_P(CpuNumerics, TheExponentialIsAccurate) {
  expect_accurate_exponential<float>(87.0);
  expect_accurate_exponential<double>(708.0);
}

template <class T>
void expect_that_statistics_change_nothing_else() {
  const auto whole = random_problem<T>(
      {.head_dim = 33, .documents = Documents::single(251), .mask = Mask::causal()}, 3, 2.0);
  const auto with = attend_on_cpu(whole, {.statistics = true});
  const auto without = attend_on_cpu(whole, {.statistics = false});
  EXPECT_EQ(with.out.values, without.out.values);
  EXPECT_EQ(with.lse.values, without.lse.values);
}

TEST_P(CpuNumerics, StatisticsChangeNothingElse) {
  expect_that_statistics_change_nothing_else<float>();
  expect_that_statistics_change_nothing_else<BFloat16>();
}

}  // namespace
}  // namespace annulus::test
