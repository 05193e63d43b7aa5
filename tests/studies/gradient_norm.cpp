#include "studies/gradient_norm.hpp"

#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "annulus/comm/self.hpp"
#include "annulus/comm/threads.hpp"
#include "annulus/studies/theory.hpp"
#include "studies/layer.hpp"
#include "studies/tokens.hpp"

namespace annulus::studies {
namespace {

std::vector<Index> first(Index count) {
  std::vector<Index> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), Index{0});
  return rows;
}

std::vector<double> norms_of(const LocalRows& x) {
  std::vector<double> norms;
  for (Index i = 0; i < x.count(); ++i) norms.push_back(norm(x.row(i)));
  return norms;
}

double eta(const LocalRows& x, double beta, double residual) {
  auto alone = comm::self();
  const auto y = normalised(x);
  const auto norms = norms_of(x);
  return gradient_norm(
      alone, {.y = y, .norms = norms, .n = x.count(), .beta = beta, .residual = residual}, 1);
}

/// X' = softmax(beta Y Y^T) Y + residual X, plainly.
std::vector<double> layer_of(const LocalRows& x, double beta, double residual) {
  const auto y = normalised(x);
  std::vector<double> out(x.values.size());
  const auto d = static_cast<std::size_t>(x.dim);
  for (Index i = 0; i < x.count(); ++i) {
    std::vector<double> weights;
    double sum = 0;
    for (Index j = 0; j < x.count(); ++j) {
      const double s = std::inner_product(y.row(i).begin(), y.row(i).end(), y.row(j).begin(), 0.0);
      weights.push_back(std::exp(beta * (s - 1)));
      sum += weights.back();
    }
    for (std::size_t c = 0; c < d; ++c) {
      double& value = out[static_cast<std::size_t>(i) * d + c];
      for (Index j = 0; j < x.count(); ++j) {
        value += weights[static_cast<std::size_t>(j)] / sum * y.row(j)[c];
      }
      value += residual * x.row(i)[c];
    }
  }
  return out;
}

/// The Jacobian by central differences of fourth order, and the sum of its squares.
double eta_by_differences(const LocalRows& x, double beta, double residual) {
  const double step = 1e-3;
  double total = 0;
  for (std::size_t at = 0; at < x.values.size(); ++at) {
    const auto moved = [&](double by) {
      auto copy = x;
      copy.values[at] += by;
      return layer_of(copy, beta, residual);
    };
    const auto a = moved(step);
    const auto b = moved(-step);
    const auto c = moved(2 * step);
    const auto e = moved(-2 * step);
    for (std::size_t i = 0; i < a.size(); ++i) {
      const double slope = (8 * (a[i] - b[i]) - (c[i] - e[i])) / (12 * step);
      total += slope * slope;
    }
  }
  return total / static_cast<double>(x.values.size());
}

TEST(GradientNorm, KnownValues) {
  // Six and eight simplex tokens in nine dimensions.
  const auto nine = [](Index n) {
    const auto tokens = make_tokens({.kind = TokenKind::simplex, .n = n, .rho = .5}, first(n));
    LocalRows padded{.dim = 9, .values = std::vector<double>(static_cast<std::size_t>(9 * n))};
    for (Index i = 0; i < n; ++i) {
      std::copy(tokens.row(i).begin(), tokens.row(i).end(), padded.row(i).begin());
    }
    return padded;
  };
  EXPECT_NEAR(eta(nine(6), 2 * std::log(6.), 0), .4572022847, 5.1e-11);
  EXPECT_NEAR(eta(nine(8), 4 * std::log(8.), 0), .8602835994, 5.1e-11);
}

TEST(GradientNorm, AgreesWithFiniteDifferences) {
  for (const Index d : {1, 2, 3, 7}) {
    for (const Index n : {2, 5, 11, 40}) {
      const auto x = make_tokens(
          {.kind = TokenKind::gaussian, .n = n, .rho = .3, .dimension = d, .seed = 9}, first(n));
      for (const double beta : {0.0, 0.8, 4.0}) {
        for (const double residual : {0.0, 0.7, -1.3}) {
          const double exact = eta(x, beta, residual);
          // Short tokens have large higher derivatives in the step over their length.
          double shortest = 1;
          for (const double length : norms_of(x)) shortest = std::min(shortest, length);
          const double scaled = 1e-3 * (1 + beta) / shortest;
          const double tolerance = 50 * std::pow(scaled, 4) + 1e-11;
          EXPECT_NEAR(eta_by_differences(x, beta, residual), exact, tolerance * (1 + exact))
              << "d=" << d << " n=" << n << " beta=" << beta << " residual=" << residual;
        }
      }
    }
  }
}

TEST(GradientNorm, AgreesWithTheClosedForm) {
  for (const double gamma : {0.0, 1.0, 2.0, 3.5}) {
    const auto simplex = make_tokens({.kind = TokenKind::simplex, .n = 64, .rho = .5}, first(64));
    EXPECT_NEAR(eta(simplex, gamma * std::log(64.), 0),
                simplex_gradient_norm(SimplexModel::simplex(64, .5, gamma), 1, 65), 1e-12);
    // 64 tokens in 5 dimensions: through the entries of the second moments.
    const auto clustered =
        make_tokens({.kind = TokenKind::clustered, .n = 64, .rho = .5, .directions = 4}, first(64));
    EXPECT_NEAR(eta(clustered, gamma * std::log(64.), 0),
                simplex_gradient_norm(SimplexModel::clustered(64, 4, .5, gamma), 1, 5), 1e-12);
  }
}

TEST(GradientNorm, BothWaysToTheSecondMomentsAgree) {
  // The same tokens in more dimensions than they need: 30 take the entries at n = 500, 40 do not.
  const auto narrow_tokens = make_tokens(
      {.kind = TokenKind::gaussian, .n = 500, .rho = .2, .dimension = 30, .seed = 2}, first(500));
  LocalRows wide{.dim = 40, .values = std::vector<double>(500 * 40)};
  for (Index i = 0; i < 500; ++i) {
    std::copy(narrow_tokens.row(i).begin(), narrow_tokens.row(i).end(), wide.row(i).begin());
  }
  // eta counts d - 1 directions of each A_ij^2 / |x_j|^2; ten more of them are known.
  const double beta = 3;
  const auto y = normalised(narrow_tokens);
  double more = 0;
  for (Index i = 0; i < 500; ++i) {
    std::vector<double> weights;
    double sum = 0;
    for (Index j = 0; j < 500; ++j) {
      const double s = std::inner_product(y.row(i).begin(), y.row(i).end(), y.row(j).begin(), 0.0);
      weights.push_back(std::exp(beta * s));
      sum += weights.back();
    }
    for (Index j = 0; j < 500; ++j) {
      const double p = weights[static_cast<std::size_t>(j)] / sum;
      const double length = norm(narrow_tokens.row(j));
      more += 10 * p * p / (length * length);
    }
  }
  EXPECT_NEAR(eta(wide, beta, 0) * 500 * 40, eta(narrow_tokens, beta, 0) * 500 * 30 + more, 1e-9);
}

TEST(GradientNorm, IsTheSameForAnyNumberOfRanks) {
  const TokenModel model{
      .kind = TokenKind::gaussian, .n = 37, .rho = .5, .dimension = 5, .seed = 1};
  const double alone = eta(make_tokens(model, first(37)), 6, .5);
  for (const int ranks : {1, 2, 3, 5, 8, 40}) {
    comm::run_threads(ranks, [&](comm::Communicator& communicator) {
      const auto x = make_tokens(model, rows_of_rank(37, communicator));
      const auto y = normalised(x);
      const auto norms = norms_of(x);
      const double spread = gradient_norm(
          communicator, {.y = y, .norms = norms, .n = 37, .beta = 6, .residual = .5}, 1);
      EXPECT_NEAR(spread, alone, 37 * 37 * 1e-15);
    });
  }
}

}  // namespace
}  // namespace annulus::studies
