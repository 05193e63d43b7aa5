#include "studies/tokens.hpp"

#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

namespace annulus::studies {
namespace {

std::vector<Index> first(Index count) {
  std::vector<Index> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), Index{0});
  return rows;
}

double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

TEST(Tokens, ARowDoesNotDependOnWhichOthersAreMade) {
  for (const auto kind : {TokenKind::simplex, TokenKind::gaussian, TokenKind::clustered}) {
    const TokenModel model{
        .kind = kind, .n = 12, .rho = .3, .dimension = 7, .directions = 4, .seed = 5};
    const auto all = make_tokens(model, first(12));
    const auto some = make_tokens(model, std::vector<Index>{11, 3, 4});
    EXPECT_EQ(std::vector(some.row(0).begin(), some.row(0).end()),
              std::vector(all.row(11).begin(), all.row(11).end()));
    EXPECT_EQ(std::vector(some.row(1).begin(), some.row(1).end()),
              std::vector(all.row(3).begin(), all.row(3).end()));
  }
}

TEST(Tokens, SimplexAndClusteredHaveTheirCosines) {
  const auto simplex = make_tokens({.kind = TokenKind::simplex, .n = 9, .rho = .3}, first(9));
  const auto clustered =
      make_tokens({.kind = TokenKind::clustered, .n = 9, .rho = .3, .directions = 3}, first(9));
  EXPECT_EQ(simplex.dim, 10);
  EXPECT_EQ(clustered.dim, 4);
  for (Index i = 0; i < 9; ++i) {
    for (Index j = 0; j < 9; ++j) {
      EXPECT_NEAR(dot(simplex.row(i), simplex.row(j)), i == j ? 1 : .3, 1e-15);
      EXPECT_NEAR(dot(clustered.row(i), clustered.row(j)), i / 3 == j / 3 ? 1 : .3, 1e-15);
    }
  }
}

TEST(Tokens, GaussianTokensHaveTheirMoments) {
  // 2000 tokens in 50 dimensions: 10^5 numbers of variance 1, pairwise covariance rho.
  const auto x = make_tokens(
      {.kind = TokenKind::gaussian, .n = 2000, .rho = .4, .dimension = 50, .seed = 3}, first(2000));
  double square = 0;
  std::vector<double> sum(50);
  for (Index i = 0; i < 2000; ++i) {
    square += dot(x.row(i), x.row(i));
    for (std::size_t c = 0; c < 50; ++c) sum[c] += x.row(i)[c];
  }
  // The shared part has 50 numbers only: five standard deviations of their variance, sqrt(2/50).
  EXPECT_NEAR(square / 1e5, 1, .4 * 5 * std::sqrt(2.0 / 50) + .6 * 5 * std::sqrt(2.0 / 1e5));
  const double covariance = (dot(sum, sum) - square) / (50 * 2000. * 1999.);
  EXPECT_NEAR(covariance, .4, .4 * 5 * std::sqrt(2.0 / 50));
  const auto other = make_tokens(
      {.kind = TokenKind::gaussian, .n = 2000, .rho = .4, .dimension = 50, .seed = 4}, first(1));
  EXPECT_NE(other.row(0)[0], x.row(0)[0]);
}

TEST(Tokens, SpherePointsAreUniformUnitVectors) {
  const auto points = uniform_on_sphere(7, 0, first(20000), 3);
  std::vector<double> second(3);
  for (Index i = 0; i < points.count(); ++i) {
    EXPECT_NEAR(norm(points.row(i)), 1, 1e-15);
    for (std::size_t c = 0; c < 3; ++c) second[c] += points.row(i)[c] * points.row(i)[c] / 20000;
  }
  // Variance of y_c^2 on S^2 is 1/5 - 1/9.
  for (const double value : second) EXPECT_NEAR(value, 1. / 3, 5 * std::sqrt(4. / 45 / 20000));
  const auto queries = uniform_on_sphere(7, 1, first(1), 3);
  EXPECT_NE(queries.row(0)[0], points.row(0)[0]);
}

}  // namespace
}  // namespace annulus::studies
