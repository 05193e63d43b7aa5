#include "studies/tokens.hpp"

#include <cmath>
#include <new>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/base/random.hpp"

namespace annulus::studies {
namespace {

/// Independent sets of numbers.
enum Stream : std::uint64_t { shared_direction = 0, own_directions = 1, sphere_streams = 16 };

LocalRows empty_rows(std::size_t count, Index dimension) {
  const auto numbers = count * static_cast<std::size_t>(dimension);
  try {
    return {.dim = dimension, .values = std::vector<double>(numbers)};
  } catch (const std::bad_alloc&) {
    throw Error(fmt::format("out of memory: {} bytes for tokens", numbers * sizeof(double)));
  }
}

}  // namespace

Index TokenModel::token_dimension() const {
  if (kind == TokenKind::gaussian) return dimension;
  return (kind == TokenKind::simplex ? n : directions) + 1;
}

LocalRows make_tokens(const TokenModel& model, std::span<const Index> rows) {
  auto tokens = empty_rows(rows.size(), model.token_dimension());
  const double shared = std::sqrt(model.rho);
  const double own = std::sqrt(1 - model.rho);
  std::vector<double> common(static_cast<std::size_t>(tokens.dim));
  if (model.kind == TokenKind::gaussian) fill_normal(common, model.seed, shared_direction, 0);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto token = tokens.row(static_cast<Index>(i));
    if (model.kind == TokenKind::gaussian) {
      fill_normal(token, model.seed, own_directions, static_cast<std::uint64_t>(rows[i]));
      for (std::size_t c = 0; c < token.size(); ++c) {
        token[c] = shared * common[c] + own * token[c];
      }
      continue;
    }
    const Index repeats = model.kind == TokenKind::clustered ? model.n / model.directions : 1;
    token[0] = shared;
    token[static_cast<std::size_t>(1 + rows[i] / repeats)] = own;
  }
  return tokens;
}

LocalRows uniform_on_sphere(std::uint64_t seed, std::uint64_t stream, std::span<const Index> rows,
                            Index dimension) {
  auto points = empty_rows(rows.size(), dimension);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    fill_normal(points.row(static_cast<Index>(i)), seed, sphere_streams + stream,
                static_cast<std::uint64_t>(rows[i]));
  }
  return normalised(points);
}

}  // namespace annulus::studies
