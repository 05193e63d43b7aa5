// Numbers that are a function of where they stand.
#include "annulus/base/random.hpp"

#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

namespace annulus {
namespace {

TEST(Random, IsPhiloxByBoxAndMuller) {
  // The first vector of Random123's kat_vectors for philox4x64-10: counter and key of zeros.
  constexpr std::array<std::uint64_t, 4> bits{0x16554d9eca36314c, 0xdb20fe9d672d0fdc,
                                              0xd7e772cee186176b, 0x7e68b68aec7ba23b};
  std::array<double, 4> numbers{};
  fill_normal(numbers, 0, 0, 0);
  for (std::size_t pair = 0; pair < 4; pair += 2) {
    const double u = (std::floor(static_cast<double>(bits[pair] >> 11)) + 1) / std::exp2(53);
    const double angle =
        2 * std::numbers::pi * static_cast<double>(bits[pair + 1] >> 11) / std::exp2(53);
    EXPECT_DOUBLE_EQ(numbers[pair], std::sqrt(-2 * std::log(u)) * std::cos(angle));
    EXPECT_DOUBLE_EQ(numbers[pair + 1], std::sqrt(-2 * std::log(u)) * std::sin(angle));
  }
}

TEST(Random, ARowIsTheSameHoweverMuchOfItIsAskedFor) {
  std::array<double, 11> whole{};
  fill_normal(whole, 7, 3, 5);
  for (std::size_t count = 0; count <= whole.size(); ++count) {
    std::vector<double> part(count);
    fill_normal(part, 7, 3, 5);
    for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(part[i], whole[i]);
  }
}

TEST(Random, SeedsStreamsAndRowsAreIndependentOfEachOther) {
  std::array<double, 4> first{};
  fill_normal(first, 1, 2, 3);
  for (const auto& [seed, stream, row] :
       std::vector<std::array<std::uint64_t, 3>>{{2, 2, 3}, {1, 3, 3}, {1, 2, 4}, {3, 2, 1}}) {
    std::array<double, 4> other{};
    fill_normal(other, seed, stream, row);
    for (std::size_t i = 0; i < 4; ++i) EXPECT_NE(first[i], other[i]);
  }
}

TEST(Random, MomentsAreThoseOfTheNormalDistribution) {
  std::vector<double> numbers(1000003);
  fill_normal(numbers, 1, 32, 0);
  const auto n = static_cast<double>(numbers.size());
  // Mean, variance, skewness and kurtosis, each within five standard errors.
  std::array<double, 5> moments{};
  for (const double x : numbers) {
    for (int k = 1; k <= 4; ++k) moments[static_cast<std::size_t>(k)] += std::pow(x, k) / n;
  }
  EXPECT_NEAR(moments[1], 0, 5 / std::sqrt(n));
  EXPECT_NEAR(moments[2], 1, 5 * std::sqrt(2 / n));
  EXPECT_NEAR(moments[3], 0, 5 * std::sqrt(15 / n));
  EXPECT_NEAR(moments[4], 3, 5 * std::sqrt(96 / n));
}

}  // namespace
}  // namespace annulus
