#pragma once
// The tokens of the models, as functions of (seed, row, component): no number of ranks changes
// them.

#include <cstdint>
#include <span>

#include "studies/rows.hpp"

namespace annulus::studies {

/// How tokens are made.
enum class TokenKind {
  simplex,    ///< y_i = sqrt(rho) e_0 + sqrt(1-rho) e_i, in n + 1 dimensions
  gaussian,   ///< x_i = sqrt(rho) z_0 + sqrt(1-rho) z_i, z standard normal
  clustered,  ///< simplex directions, each repeated n / directions times
};

struct TokenModel {
  TokenKind kind = TokenKind::simplex;
  Index n = 0;
  double rho = 0;
  Index dimension = 0;   ///< of gaussian tokens
  Index directions = 0;  ///< of clustered tokens
  std::uint64_t seed = 1;

  /// Dimension d of a token: n + 1, dimension, or directions + 1.
  [[nodiscard]] Index token_dimension() const;
};

/// Rows `rows` of the tokens x; those of simplex and clustered models are unit vectors. A clustered
/// token i has direction i / (n / directions).
[[nodiscard]] LocalRows make_tokens(const TokenModel& model, std::span<const Index> rows);

/// Uniform unit vectors in `dimension` dimensions; `stream` tells independent sets apart.
[[nodiscard]] LocalRows uniform_on_sphere(std::uint64_t seed, std::uint64_t stream,
                                          std::span<const Index> rows, Index dimension);

}  // namespace annulus::studies
