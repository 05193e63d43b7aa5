// The accuracy of the exponential, and what statistics leave alone.
#include "kernels/cpu/kernels_under_test.hpp"

namespace annulus::test {
namespace {

class CpuNumerics : public ForwardKernel {};
INSTANTIATE_TEST_SUITE_P(, CpuNumerics, testing::ValuesIn(cpu_kernels()),
                         name_of_test<KernelUnderTest>);

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
  const auto got = attend_by(kernels::cpu(), whole);
  const double u = unit_roundoff(data_type_of<T>);
  for (Index i = 0; i < points; ++i) {
    const double x = static_cast<double>(whole.q.at(i, 0, 0));
    const double exact = std::exp(-x) / (1 + std::exp(-x));
    // Roundings: reduction, polynomial, scaling, sum and quotient; and ln 2 as one fp32 number.
    const double roundings = sizeof(T) == sizeof(float) ? 5 + 0.05 * x : 5;
    EXPECT_NEAR(static_cast<double>(got.out.at(i, 0, 0)), exact, roundings * u * exact) << x;
  }
}

TEST_P(CpuNumerics, TheExponentialIsAccurate) {
  expect_accurate_exponential<float>(87.0);
  expect_accurate_exponential<double>(708.0);
}

// Maxima that rise a little with every tile of keys, with every key, at once among the keys of a
// tile, or never again, over more keys than are summed together.
TEST_P(CpuNumerics, MaximaThatRise) {
  constexpr Index keys = 2500;
  const Problem problem{.head_dim = 2,
                        .documents = Documents::single(53, keys),
                        .logit_scale = LogitScale::parse("none:base=1")};
  const std::vector<KernelRun> runs = {
      {}, {.statistics = false}, {.shards = 3}, {.shards = 3, .statistics = false}};
  for_each_type([&]<class T>() {
    const auto expect_rise = [&](auto logit_of, Sharpness sharpness = Sharpness::tenth) {
      auto whole = random_problem<T>(problem, seed<T>());
      for (Index i = 0; i < 53; ++i) whole.q.at(i, 0, 0) = T(1);
      for (Index j = 0; j < keys; ++j) whole.k.at(j, 0, 0) = static_cast<T>(logit_of(j));
      expect_outputs(whole, runs, sharpness);
    };
    for (const double risen : {5.0, 7.9, 40.0, 400.0, -40.0}) {
      expect_rise([&](Index j) { return risen * static_cast<double>(j) / keys; });
    }
    for (const double risen : {7.0, 9.0, 80.0, 1000.0}) {
      expect_rise([&](Index j) { return j < 1300 ? 0.0 : risen; });
      expect_rise([&](Index j) { return j == 1300 ? risen : 0.0; }, Sharpness::any);
    }
  });
}

template <class T>
void expect_that_statistics_change_nothing_else() {
  const auto whole = random_problem<T>(
      {.head_dim = 33, .documents = Documents::single(251), .mask = Mask::causal()}, 3, 2.0);
  const auto with = attend_by(kernels::cpu(), whole, {.statistics = true});
  const auto without = attend_by(kernels::cpu(), whole, {.statistics = false});
  // Sums may be centred elsewhere, which is a rounding or two of fp64.
  const double u = unit_roundoff(data_type_of<Accumulator<T>>);
  for (std::size_t i = 0; i < with.out.values.size(); ++i) {
    const auto expected = static_cast<double>(with.out.values[i]);
    EXPECT_NEAR(static_cast<double>(without.out.values[i]), expected, 4 * u * std::abs(expected));
  }
  for (std::size_t i = 0; i < with.lse.values.size(); ++i) {
    const auto expected = static_cast<double>(with.lse.values[i]);
    EXPECT_NEAR(static_cast<double>(without.lse.values[i]), expected,
                4 * u * (1 + std::abs(expected)));
  }
}

TEST_P(CpuNumerics, StatisticsChangeNothingElse) {
  expect_that_statistics_change_nothing_else<float>();
  expect_that_statistics_change_nothing_else<double>();
  expect_that_statistics_change_nothing_else<BFloat16>();
}

}  // namespace
}  // namespace annulus::test
