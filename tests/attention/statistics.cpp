#include "annulus/attention/statistics.hpp"

#include <vector>

#include <gtest/gtest.h>

namespace annulus {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double epsilon = std::numeric_limits<double>::epsilon();

SoftmaxState<double> state_of(const std::vector<double>& logits) {
  SoftmaxState<double> state;
  for (const double z : logits) {
    merge(state, std::span<double>{}, SoftmaxState<double>::of_key(z), std::span<const double>{});
  }
  return state;
}

RowStatistics statistics_of(const SoftmaxState<double>& state, double self_logit) {
  RowStatistics all;
  for (std::size_t s = 0; s < all.values.size(); ++s) {
    all.values[s] = row_statistics()[s].of(finished_row(state, self_logit));
  }
  return all;
}

TEST(Statistics, EqualLogitsAreUniform) {
  for (const double z : {0.0, 5.0, -1e4, 1e4}) {
    const auto row = statistics_of(state_of(std::vector<double>(97, z)), z);
    EXPECT_NEAR(row["entropy"], std::log(97.), 97 * epsilon);
    EXPECT_NEAR(row["effective_keys"], 97, 97 * 97 * epsilon);
    EXPECT_NEAR(row["participation"], 97, 97 * 97 * epsilon);
    EXPECT_NEAR(row["max_probability"], 1. / 97, epsilon);
    EXPECT_NEAR(row["self_probability"], 1. / 97, 1e4 * epsilon);
    EXPECT_EQ(row["max_logit"], z);
  }
}

// n - 1 scores of -2 and one of +3: figure 1 of arXiv 2501.19399.
double ssmax_largest_probability(int n, double scale) {
  std::vector<double> logits(static_cast<std::size_t>(n), -2 * scale);
  logits.back() = 3 * scale;
  return statistics_of(state_of(logits), -infinity)["max_probability"];
}

TEST(Statistics, SsmaxKeepsItsPeakWhereSoftmaxFades) {
  const auto ssmax = [](int n) { return ssmax_largest_probability(n, 0.43 * std::log(n)); };
  EXPECT_NEAR(ssmax(10), .9401013304, 5.1e-11);
  EXPECT_NEAR(ssmax(100), .9950627438, 5.1e-11);
  EXPECT_NEAR(ssmax(1000), .9996456670, 5.1e-11);
  EXPECT_NEAR(ssmax(10000), .9999748843, 5.1e-11);
  EXPECT_NEAR(ssmax_largest_probability(10, 1), .94283, 5.1e-6);
  EXPECT_NEAR(ssmax_largest_probability(100, 1), .59986, 5.1e-6);
  EXPECT_NEAR(ssmax_largest_probability(1000, 1), .12935, 5.1e-6);
  EXPECT_NEAR(ssmax_largest_probability(10000, 1), .014626, 5.1e-7);
}

TEST(Statistics, OneKeyTakesAll) {
  const auto row = statistics_of(state_of({3.25}), 3.25);
  EXPECT_EQ(row["entropy"], 0);
  EXPECT_EQ(row["effective_keys"], 1);
  EXPECT_EQ(row["participation"], 1);
  EXPECT_EQ(row["max_probability"], 1);
  EXPECT_EQ(row["self_probability"], 1);
}

TEST(Statistics, ARowThatSawNothing) {
  const auto row = statistics_of(SoftmaxState<double>{}, -infinity);
  EXPECT_EQ(row["max_logit"], -infinity);
  EXPECT_EQ(row["entropy"], 0);
  EXPECT_EQ(row["effective_keys"], 0);
  EXPECT_EQ(row["participation"], 0);
  EXPECT_EQ(row["max_probability"], 0);
  EXPECT_EQ(row["self_probability"], 0);
}

TEST(Statistics, ShardsMergeByTheirWeights) {
  // H = Sum pi_r H_r - Sum pi_r ln pi_r and Sum p^2 = Sum pi_r^2 (Sum p^2)_r.
  const auto left = state_of({0.3, -1.0, 2.0, 0.7});
  const auto right = state_of({1.5, 1.25, -3.0});
  auto both = left;
  merge(both, std::span<double>{}, right, std::span<const double>{});
  const auto all = statistics_of(both, -infinity);
  double entropy = 0;
  double squares = 0;
  for (const auto& part : {left, right}) {
    const double weight = std::exp(part.lse() - both.lse());
    const auto row = statistics_of(part, -infinity);
    entropy += weight * row["entropy"] - weight * std::log(weight);
    squares += weight * weight / row["participation"];
  }
  EXPECT_NEAR(all["entropy"], entropy, 30 * epsilon);
  EXPECT_NEAR(1 / all["participation"], squares, 30 * epsilon);
}

TEST(Statistics, EntropyFallsWithTheScaleByTheVariance) {
  // dH/dbeta = -beta Var_p and d lse/dbeta = E_p, for z = beta x.
  const std::vector<double> x{0.3, -1.0, 2.0, 0.7, 1.1};
  const auto at = [&](double beta) {
    auto logits = x;
    for (auto& z : logits) z *= beta;
    return state_of(logits);
  };
  const double beta = 1.3;
  const double step = 1e-5;
  const auto state = at(beta);
  double mean = 0;
  double square = 0;
  for (const double value : x) {
    const double p = std::exp(beta * value - state.lse());
    mean += p * value;
    square += p * value * value;
  }
  const double entropy_slope = (statistics_of(at(beta + step), -infinity)["entropy"] -
                                statistics_of(at(beta - step), -infinity)["entropy"]) /
                               (2 * step);
  const double lse_slope = (at(beta + step).lse() - at(beta - step).lse()) / (2 * step);
  // Central differences: step^2 times third derivatives of order 10, and eps / step.
  const double tolerance = 10 * step * step + 10 * epsilon / step;
  EXPECT_NEAR(entropy_slope, -beta * (square - mean * mean), tolerance);
  EXPECT_NEAR(lse_slope, mean, tolerance);
}

}  // namespace
}  // namespace annulus
