#include "annulus/studies/theory.hpp"

#include <cmath>

namespace annulus::studies {
namespace {

/// The masses that a query gives to directions, and what follows from them.
struct Masses {
  double decay;      ///< ln of 1/t = gamma (1-rho) ln n
  double t = 0;      ///< e^(-decay): another direction's mass over the own direction's
  double own = 0;    ///< P = 1 / (1 + (m-1) t)
  double other = 0;  ///< W = t P
  double gap = 0;    ///< P - W, without cancellation
};

Masses masses_of(const SimplexModel& model) {
  Masses masses{.decay = model.gamma * model.gap * std::log(model.n)};
  masses.t = std::exp(-masses.decay);
  masses.own = 1 / (1 + (model.directions - 1) * masses.t);
  masses.other = masses.t * masses.own;
  masses.gap = -std::expm1(-masses.decay) * masses.own;
  return masses;
}

}  // namespace

SimplexModel SimplexModel::simplex(Index n, double rho, double gamma) {
  return clustered(n, n, rho, gamma);
}

SimplexModel SimplexModel::clustered(Index n, Index directions, double rho, double gamma) {
  return {.n = static_cast<double>(n),
          .directions = static_cast<double>(directions),
          .gap = 1 - rho,
          .gamma = gamma};
}

SimplexLayer simplex_layer(const SimplexModel& model, double residual) {
  const auto masses = masses_of(model);
  const double m = model.directions;
  const double repeats = model.n / m;
  const double rest = (m - 1) * masses.t;
  const double sigma = m - (m - 1) * model.gap;  // 1 + (m - 1) rho
  const double along = (1 + residual) * (1 + residual) * sigma;
  const double across = (masses.gap + residual) * (masses.gap + residual) * model.gap;
  // 1 - (along - across) / (along + (m - 1) across)
  const double gap = m * across / (along + (m - 1) * across);
  return {
      .own_mass = masses.own,
      .self_probability = masses.own / repeats,
      .lse = model.gamma * std::log(model.n) + std::log(repeats) + std::log1p(rest),
      // -Sum P ln P with ln P = -ln(1 + rest) and ln W = ln P - decay, and ln r for the repeats.
      .entropy = std::log1p(rest) + (m - 1) * masses.other * masses.decay + std::log(repeats),
      .participation = repeats * (1 + rest) * (1 + rest) / (1 + rest * masses.t),
      .direction_gap = gap,
      .output_cosine = 1 - (model.n - repeats) / (model.n - 1) * gap,
      .contraction = std::abs(masses.gap + residual)};
}

double simplex_gradient_norm(const SimplexModel& model, double q, double d) {
  const auto masses = masses_of(model);
  const double m = model.directions;
  const double repeats = model.n / m;
  const double beta = model.gamma * std::log(model.n);
  const double kappa = model.gap;
  const double rho = 1 - kappa;
  const double own = masses.own;
  const double other = masses.other;
  const double rest = (m - 1) * other;  // 1 - P
  const double sigma = 1 + (m - 1) * rho;
  const double s2 = own * own + (m - 1) * other * other;
  const double s3 = own * own * own + (m - 1) * other * other * other;
  // <y_i, o>, <y_k, o> of another direction, and |o|^2.
  const double o_own = masses.gap + other * sigma;
  const double o_other = masses.gap * rho + other * sigma;
  const double o_square =
      masses.gap * masses.gap + 2 * masses.gap * other * sigma + other * other * m * sigma;
  const double p = own / repeats;
  const double w = other / repeats;
  const double trace = kappa * ((1 - s2) - kappa * own * rest);
  const double square =
      kappa * kappa *
      (s2 - 2 * s3 + s2 * s2 - kappa * own * own * (rest * rest + (m - 1) * other * other));
  const double diagonal = p * p * (d - 1) + 2 * p * beta * trace + beta * beta * square;
  const double same = p * p * (d - 1);
  const double different = w * w *
                           ((d - 1) - 2 * beta * (o_own - rho * o_other) +
                            beta * beta * (1 - 2 * o_other + o_square) * (1 - rho * rho));
  return (diagonal + (repeats - 1) * same + (model.n - repeats) * different) / (d * q);
}

double critical_gamma(const SimplexModel& model) {
  return std::log(model.directions) / std::log(model.n) / model.gap;
}

std::vector<SimplexLayer> simplex_network(const SimplexModel& model, Index layers,
                                          double residual) {
  std::vector<SimplexLayer> network;
  auto at = model;
  for (Index layer = 0; layer < layers; ++layer) {
    network.push_back(simplex_layer(at, residual));
    network.back().contraction *= std::sqrt(at.gap / model.gap);
    at.gap = network.back().direction_gap;
  }
  return network;
}

double sphere_alignment(double beta, Index d) {
  if (beta == 0) return 0;
  // I_nu / I_{nu-1} (x) = 1 / (2 nu / x + I_{nu+1} / I_nu), from far out inwards: a ratio is below
  // x / (2 nu), so an error there shrinks by its square at each step once nu is above x.
  const double nu = static_cast<double>(d) / 2;
  double ratio = 0;
  for (double k = std::ceil(std::abs(beta)) + 40; k >= 0; --k) {
    ratio = 1 / (2 * (nu + k) / beta + ratio);
  }
  return ratio;
}

double sphere_critical_beta(double n, Index d) {
  return std::pow(n, 2 / static_cast<double>(d - 1));
}

}  // namespace annulus::studies
