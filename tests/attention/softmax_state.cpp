#include "annulus/attention/softmax_state.hpp"

#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace annulus {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double epsilon = std::numeric_limits<double>::epsilon();

struct Partial {
  SoftmaxState<double> state;
  std::vector<double> values;
};

Partial identity(std::size_t value_dim) {
  return {{}, std::vector<double>(value_dim)};
}

void merge_into(Partial& left, const Partial& right) {
  merge(left.state, std::span(left.values), right.state, std::span<const double>(right.values));
}

std::vector<Partial> random_keys(std::mt19937_64& random, std::size_t count, double size) {
  std::normal_distribution<double> normal;
  std::vector<Partial> keys(count);
  for (auto& key : keys) {
    key.state = SoftmaxState<double>::of_key(size * normal(random));
    key.values = {normal(random), normal(random), normal(random)};
  }
  return keys;
}

Partial fold(const std::vector<Partial>& keys) {
  auto all = identity(3);
  for (const auto& key : keys) merge_into(all, key);
  return all;
}

void expect_close(const Partial& a, const Partial& b, double tolerance) {
  EXPECT_NEAR(a.state.lse(), b.state.lse(), tolerance * (1 + std::abs(a.state.lse())));
  EXPECT_EQ(a.state.maximum, b.state.maximum);
  EXPECT_NEAR(a.state.sum, b.state.sum, tolerance * a.state.sum);
  // The terms of the moment reach z - m, however large, times a weight of at most 1/e |z - m|.
  EXPECT_NEAR(a.state.moment, b.state.moment, tolerance * (1 + a.state.sum));
  EXPECT_NEAR(a.state.squares, b.state.squares, tolerance * a.state.squares);
  for (std::size_t c = 0; c < a.values.size(); ++c) {
    EXPECT_NEAR(a.values[c], b.values[c], tolerance * 10 * a.state.sum);
  }
}

TEST(SoftmaxState, IdentityMergesWithoutNaN) {
  auto nothing = identity(2);
  merge_into(nothing, identity(2));
  EXPECT_EQ(nothing.state.lse(), -infinity);
  EXPECT_EQ(nothing.state.sum, 0);
  EXPECT_EQ(nothing.state.moment, 0);
  EXPECT_EQ(nothing.values, std::vector<double>(2));
  const Partial key{SoftmaxState<double>::of_key(-3.5), {1, 2}};
  auto left = identity(2);
  merge_into(left, key);
  auto right = key;
  merge_into(right, identity(2));
  for (const auto& merged : {left, right}) {
    EXPECT_EQ(merged.state.maximum, -3.5);
    EXPECT_EQ(merged.state.sum, 1);
    EXPECT_EQ(merged.state.moment, 0);
    EXPECT_EQ(merged.state.squares, 1);
    EXPECT_EQ(merged.values, key.values);
  }
}

TEST(SoftmaxState, AKeyThatWeighsNothingIsTheIdentity) {
  const auto nothing = SoftmaxState<double>::of_key(-infinity);
  EXPECT_TRUE(nothing.empty());
  EXPECT_EQ(nothing.sum, 0);
  EXPECT_EQ(nothing.squares, 0);
}

TEST(SoftmaxState, ASumThatIsNotANumberIsNotNothing) {
  Partial sum{{-infinity, std::nan(""), 0, 0}, {std::nan("")}};
  EXPECT_FALSE(sum.state.empty());
  merge_into(sum, {SoftmaxState<double>::of_key(-3.5), {1}});
  EXPECT_TRUE(std::isnan(sum.state.lse()));
  EXPECT_TRUE(std::isnan(sum.values[0]));
}

TEST(SoftmaxState, ASecondTermHasWhatRoundingTakesFromLse) {
  for (const float maximum : {-3e7F, -1.0F, 0.0F, 1e2F, 1e8F}) {
    const SoftmaxState<double> state{static_cast<double>(maximum), 67.0, 0, 67.0};
    const auto rounded = static_cast<float>(state.lse());
    const double low = state.lse_beyond(static_cast<double>(rounded));
    // z - lse is exact for z = m, and so are both terms together but for the roundings of ln l.
    EXPECT_NEAR((static_cast<double>(maximum) - static_cast<double>(rounded)) - low,
                -std::log(67.0), 8 * epsilon);
    EXPECT_LE(std::abs(low), std::abs(static_cast<double>(rounded)) * 0x1p-24);
  }
  EXPECT_EQ(SoftmaxState<double>{}.lse_beyond(-infinity), 0);
}

TEST(SoftmaxState, MergeIsAssociativeInAnyOrderAndGrouping) {
  std::mt19937_64 random(1);
  for (const double size : {0.1, 1.0, 30.0, 1e4}) {
    auto keys = random_keys(random, 101, size);
    const auto all = fold(keys);
    for (int shuffle = 0; shuffle < 20; ++shuffle) {
      std::shuffle(keys.begin(), keys.end(), random);
      std::uniform_int_distribution<std::size_t> cut(0, keys.size());
      const auto middle = keys.begin() + static_cast<std::ptrdiff_t>(cut(random));
      auto grouped = fold({keys.begin(), middle});
      merge_into(grouped, fold({middle, keys.end()}));
      // 101 merges, each with a few roundings; |z - m| up to 1e4 * 8 loses |z - m| eps in e^(z-m),
      // but what is left of such a weight is far below the sum.
      expect_close(all, grouped, 101 * 8 * epsilon);
    }
  }
}

TEST(SoftmaxState, AgreesWithTheDefinition) {
  std::mt19937_64 random(2);
  const auto keys = random_keys(random, 53, 3.0);
  const auto all = fold(keys);
  double sum = 0;
  double moment = 0;
  double squares = 0;
  for (const auto& key : keys) {
    const double shifted = key.state.maximum - all.state.maximum;
    sum += std::exp(shifted);
    moment += std::exp(shifted) * shifted;
    squares += std::exp(2 * shifted);
  }
  EXPECT_NEAR(all.state.sum, sum, 53 * 8 * epsilon * sum);
  EXPECT_NEAR(all.state.moment, moment, 53 * 8 * epsilon * sum);
  EXPECT_NEAR(all.state.squares, squares, 53 * 8 * epsilon * squares);
}

TEST(SoftmaxState, ExtremeLogitsStayFinite) {
  Partial high{SoftmaxState<double>::of_key(1e300), {1}};
  merge_into(high, {SoftmaxState<double>::of_key(-1e300), {5}});
  EXPECT_EQ(high.state.sum, 1);
  EXPECT_EQ(high.state.moment, 0);
  EXPECT_EQ(high.values[0], 1);
  SoftmaxState<float> left = SoftmaxState<float>::of_key(1e4F);
  merge(left, std::span<float>{}, SoftmaxState<float>::of_key(-1e4F), std::span<const float>{});
  EXPECT_EQ(left.lse(), 1e4F);
  EXPECT_EQ(left.moment, 0.F);
}

}  // namespace
}  // namespace annulus
