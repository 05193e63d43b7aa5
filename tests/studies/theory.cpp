// The numbers of arXiv 2510.05554's model, to the digits that are known.
#include "annulus/studies/theory.hpp"

#include <cmath>

#include <gtest/gtest.h>

namespace annulus::studies {
namespace {

// Ten digits after the point.
constexpr double digits = 5.1e-11;

struct Row {
  Index n;
  double gamma;
  double p;
  double cosine;
};

TEST(Theory, SelfProbabilityAndCosine) {
  for (const Row& row : {Row{1024, 1.5, .1503458712, .978154381},
                         {65536, 1.5, .0588243742, .9965533554},
                         {1048576, 1.5, .0303030583, .9990826239},
                         {1024, 2, .5002442599, .800273407},
                         {65536, 2, .5000038147, .8000042725},
                         {1048576, 2, .5000002384, .800000267},
                         {1024, 3, .9697256666, .5153959953},
                         {65536, 3, .9961090086, .5019493401},
                         {1048576, 3, .9990243912, .5004880433}}) {
    const auto layer = simplex_layer(SimplexModel::simplex(row.n, 0.5, row.gamma));
    EXPECT_NEAR(layer.self_probability, row.p, digits);
    EXPECT_NEAR(layer.output_cosine, row.cosine, digits * 10);
  }
}

TEST(Theory, EffectiveKeysAtCriticality) {
  const auto effective = [](Index n) {
    return std::exp(simplex_layer(SimplexModel::simplex(n, 0.5, 2)).entropy);
  };
  EXPECT_NEAR(effective(1024), 63.86053739, 5.1e-9);
  EXPECT_NEAR(effective(65536), 511.97443336, 5.1e-9);
  EXPECT_NEAR(effective(1048576), 2047.99225443, 1e-8);
  // e^H is near 2 sqrt(n) while 1 / sum p^2 tends to 4.
  EXPECT_NEAR(simplex_layer(SimplexModel::simplex(1 << 20, 0.5, 2)).participation, 4, 1e-4);
}

TEST(Theory, CriticalityIsTheSameForEveryCorrelation) {
  for (const double rho : {0.0, 0.3, 0.5, 0.9, 0.99}) {
    for (const Index n : {Index{2}, Index{7}, Index{1000}, Index{1} << 30}) {
      const auto model = SimplexModel::simplex(n, rho, 1 / (1 - rho));
      const auto layer = simplex_layer(model);
      const auto length = static_cast<double>(n);
      // gamma (1 - rho) carries a rounding, which ln n amplifies.
      EXPECT_NEAR(layer.self_probability, length / (2 * length - 1), 1e-14);
      EXPECT_NEAR(layer.contraction, (length - 1) / (2 * length - 1), 1e-14);
      EXPECT_NEAR(critical_gamma(model), 1 / (1 - rho), 1e-13 / (1 - rho));
    }
  }
}

TEST(Theory, LayerAgreesWithItsSums) {
  for (const double rho : {0.1, 0.5, 0.8}) {
    for (const double gamma : {0.0, 0.7, 2.0, 5.0}) {
      const double n = 11;
      const auto layer = simplex_layer(SimplexModel::simplex(11, rho, gamma));
      const double t = std::pow(n, -gamma * (1 - rho));
      const double p = 1 / (1 + (n - 1) * t);
      const double w = t * p;
      EXPECT_NEAR(layer.entropy, -p * std::log(p) - (n - 1) * w * std::log(w), 1e-14);
      EXPECT_NEAR(layer.participation, 1 / (p * p + (n - 1) * w * w), 1e-13);
      EXPECT_NEAR(layer.lse, gamma * std::log(n) + std::log(1 + (n - 1) * t), 1e-14);
      EXPECT_NEAR(layer.contraction, p - w, 1e-15);
    }
  }
}

TEST(Theory, NothingOverflows) {
  for (const double gamma : {0.0, 1e-9, 50.0, 1e4}) {
    const auto model = SimplexModel::simplex(Index{1} << 40, 0.25, gamma);
    const auto layer = simplex_layer(model);
    for (const double value :
         {layer.self_probability, layer.lse, layer.entropy, layer.participation,
          layer.output_cosine, layer.contraction, simplex_gradient_norm(model, 1, 64)}) {
      EXPECT_TRUE(std::isfinite(value)) << gamma;
    }
    EXPECT_GE(layer.entropy, 0);
  }
}

TEST(Theory, GradientNorm) {
  EXPECT_NEAR(simplex_gradient_norm(SimplexModel::simplex(6, .5, 2), 1, 9), .4572022847, digits);
  EXPECT_NEAR(simplex_gradient_norm(SimplexModel::simplex(8, .5, 4), 1, 9), .8602835994, digits);
  // The limits n -> infinity on both sides: 0 and (1/q)(1 - 1/d).
  EXPECT_NEAR(simplex_gradient_norm(SimplexModel::simplex(Index{1} << 40, .5, 0.5), 2, 9), 0, 1e-4);
  EXPECT_NEAR(simplex_gradient_norm(SimplexModel::simplex(Index{1} << 40, .5, 6), 2, 9),
              0.5 * 8 / 9, 1e-9);
}

TEST(Theory, ClustersCompeteAsDirections) {
  const auto own_mass = [](double gamma) {
    return simplex_layer(SimplexModel::clustered(64 * 1024, 64, .5, gamma)).own_mass;
  };
  EXPECT_NEAR(own_mass(.5), .2025316456, digits);
  EXPECT_NEAR(own_mass(.75), .5039370079, digits);
  EXPECT_NEAR(own_mass(1), .8025078370, digits);
  // ln 64 / ln 65536 / (1 - 1/2) = 6/16 * 2.
  EXPECT_NEAR(critical_gamma(SimplexModel::clustered(64 * 1024, 64, .5, 1)), .75, 1e-14);
}

TEST(Theory, AShardsLengthWouldShow) {
  // What the needle would be if beta took the shard's length: n_loc / (n_loc + n - 1).
  const double wrong[] = {.500004, .333337, .200002, .111113, .058824};
  const double n = 65536;
  for (int i = 0; i < 5; ++i) {
    const double shard = n / (1 << i);
    EXPECT_NEAR(shard / (shard + n - 1), wrong[i], 5.1e-7);
  }
  EXPECT_NEAR(simplex_layer(SimplexModel::simplex(65536, .5, 2)).self_probability, .5000038147,
              digits);
}

TEST(Theory, DepthCollapsesAtTheCriticalStrengthOfTheFirstLayer) {
  const auto at = [](double gamma) {
    return simplex_network(SimplexModel::simplex(1 << 20, .5, gamma), 8, 0);
  };
  EXPECT_NEAR(at(2)[0].output_cosine, .8, 1e-6);
  EXPECT_NEAR(at(2)[7].output_cosine, 1.0, 1e-4);
  EXPECT_NEAR(at(3)[7].output_cosine, .504, 1e-3);
  // A residual that outweighs the attention keeps the tokens apart.
  const auto kept = simplex_network(SimplexModel::simplex(1024, .5, 1), 1, 1e6);
  EXPECT_NEAR(kept[0].output_cosine, .5, 1e-5);
}

TEST(Theory, SphereAlignment) {
  // d = 3: I_{3/2} / I_{1/2} (x) = coth x - 1/x, the Langevin function.
  for (const double beta : {1e-3, 0.1, 1.0, 5.0, 50.0, 700.0}) {
    const double langevin =
        beta < 0.01 ? beta / 3 - beta * beta * beta / 45 : 1 / std::tanh(beta) - 1 / beta;
    EXPECT_NEAR(sphere_alignment(beta, 3), langevin, 1e-13);
  }
  EXPECT_EQ(sphere_alignment(0, 8), 0);
  EXPECT_NEAR(sphere_alignment(1e-4, 10), 1e-5, 1e-13);     // beta / d
  EXPECT_NEAR(sphere_alignment(1e4, 4), 1 - 1.5e-4, 2e-8);  // 1 - (d - 1) / (2 beta)
  EXPECT_NEAR(sphere_critical_beta(4096, 5), 64, 1e-12);
}

}  // namespace
}  // namespace annulus::studies
