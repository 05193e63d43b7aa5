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
  const auto with = attend_by(kernels::cpu(), whole, {.statistics = true});
  const auto without = attend_by(kernels::cpu(), whole, {.statistics = false});
  EXPECT_EQ(with.out.values, without.out.values);
  EXPECT_EQ(with.lse.values, without.lse.values);
}

TEST_P(CpuNumerics, StatisticsChangeNothingElse) {
  expect_that_statistics_change_nothing_else<float>();
  expect_that_statistics_change_nothing_else<BFloat16>();
}

}  // namespace
}  // namespace annulus::test
