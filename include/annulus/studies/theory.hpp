#pragma once
// Closed forms of the models, exact at every length. docs/theory.md derives them.

#include <vector>

#include "annulus/base/index.hpp"

namespace annulus::studies {

/// Unit tokens with pairwise cosine rho among `directions` different ones, each of which is
/// repeated n / directions times; the simplex of arXiv 2510.05554 has as many directions as tokens.
/// Attention has q = k = v = y and beta = gamma ln n, without a mask.
struct SimplexModel {
  double n = 2;
  double directions = 2;  ///< m, a divisor of n; n for the simplex
  double gap = 1;         ///< 1 - rho, kept so that it does not cancel where tokens nearly coincide
  double gamma = 0;

  [[nodiscard]] static SimplexModel simplex(Index n, double rho, double gamma);
  [[nodiscard]] static SimplexModel clustered(Index n, Index directions, double rho, double gamma);
};

/// What one layer of a SimplexModel gives; every query is like every other.
struct SimplexLayer {
  double own_mass;          ///< probability of the query's own direction, all its repeats together
  double self_probability;  ///< p_ii
  double lse;               ///< ln of the sum of e^z
  double entropy;
  double participation;  ///< 1 / sum p^2
  double direction_gap;  ///< 1 - cosine of outputs of different directions
  double output_cosine;  ///< mean over all pairs of outputs
  double contraction;    ///< |O - 1 mean(O)|_F / |Y - 1 mean(Y)|_F
};

/// A layer that adds `residual` times the token to the attention output. For a simplex:
/// t = n^(-gamma (1-rho)), p = 1/(1+(n-1)t), a = (1-t)/(1+(n-1)t), and <o_i,o_j> =
/// [(1+c)^2 sigma - (a+c)^2 (1-rho)]/n with sigma = 1+(n-1)rho and c the residual.
[[nodiscard]] SimplexLayer simplex_layer(const SimplexModel& model, double residual = 0);

/// eta = |dX'/dX|^2 / (n d) of a layer without residual, for tokens of squared norm `q` in `d`
/// dimensions.
[[nodiscard]] double simplex_gradient_norm(const SimplexModel& model, double q, double d);

/// The gamma at which a query's own direction keeps about one half of the mass as n grows:
/// (ln m / ln n) / (1 - rho), which is 1 / (1 - rho) for a simplex.
[[nodiscard]] double critical_gamma(const SimplexModel& model);

/// The layers of a network whose outputs are normalised after each: the outputs of a simplex layer
/// are again a simplex, with a new cosine. Contractions are relative to the tokens of the first
/// layer.
[[nodiscard]] std::vector<SimplexLayer> simplex_network(const SimplexModel& model, Index layers,
                                                        double residual);

/// E<q, o> of a query against uniform keys on S^(d-1) at fixed beta and n -> infinity, where the
/// attention averages: I_{d/2}(beta) / I_{d/2-1}(beta), by its continued fraction. d at least 2.
[[nodiscard]] double sphere_alignment(double beta, Index d);

/// The order of beta above which one of n uniform keys takes all: n^(2/(d-1)), arXiv 2605.08505.
[[nodiscard]] double sphere_critical_beta(double n, Index d);

}  // namespace annulus::studies
