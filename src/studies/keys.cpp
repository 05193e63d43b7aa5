#include "studies/keys.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/choices.hpp"

namespace annulus::studies {
namespace {

constexpr std::array<std::pair<TokenKind, std::string_view>, 3> token_kinds{
    {{TokenKind::simplex, "simplex"},
     {TokenKind::gaussian, "gaussian"},
     {TokenKind::clustered, "clustered"}}};

std::string token_names() {
  std::vector<std::string_view> names;
  for (const auto& entry : token_kinds) names.push_back(entry.second);
  return choices(names);
}

const auto* find_tokens(std::string_view name) {
  return std::ranges::find(token_kinds, name, &std::pair<TokenKind, std::string_view>::second);
}

}  // namespace

namespace keys {

const Key<std::vector<Index>> n{
    .name = "n",
    .meaning = "context lengths",
    .allowed = whole_numbers(2, most_tokens),
};

const Key<std::vector<double>> rho{
    .name = "rho",
    .meaning = "correlations of tokens: the cosine of two of them, or of the needle to all others",
    .allowed = in_range<double>(RealRange{.least = 0, .most = 1, .without_most = true}),
};

const Key<std::vector<double>> gamma{
    .name = "gamma",
    .meaning = "strengths of the softmax, beta = gamma ln n",
    .allowed = in_range<double>(RealRange{.least = 0, .most = 1e4}),
};

const Key<std::string> tokens{
    .name = "tokens",
    .meaning = "how tokens are made",
    .allowed = {token_names(),
                [](const std::string& name) { return find_tokens(name) != token_kinds.end(); }},
};

const Key<Index> dimension{
    .name = "dimension",
    .meaning = "dimension of a token",
    .allowed = whole_numbers(1, most_dimension),
    .belongs = [](const auto& config) { return token_kind(config) == TokenKind::gaussian; },
    .belongs_to = "gaussian tokens",
};

const Key<Index> directions{
    .name = "directions",
    .meaning = "different tokens, each repeated n / directions times",
    .allowed = whole_numbers(2, most_tokens),
    .belongs = [](const auto& config) { return token_kind(config) == TokenKind::clustered; },
    .belongs_to = "clustered tokens",
};

const Key<Index> seed{
    .name = "seed",
    .meaning = "seed of all that is random",
    .allowed = whole_numbers(0),
    .otherwise = 1,
};

const Key<std::string> precision{
    .name = "precision",
    .meaning = "type of the inputs as computed with; sums are fp32 or better",
    .allowed = {"fp64, fp32, bf16 or fp16"},  // looked at by parse_data_type
    .otherwise = "fp64",
};

}  // namespace keys

TokenKind token_kind(const StudyConfig& config) {
  return find_tokens(keys::tokens.of(config))->first;
}

TokenModel token_model(const StudyConfig& config, Index n, double rho) {
  const auto kind = token_kind(config);
  return {.kind = kind,
          .n = n,
          .rho = rho,
          .dimension = kind == TokenKind::gaussian ? keys::dimension.of(config) : 0,
          .directions = kind == TokenKind::clustered ? keys::directions.of(config) : 0,
          .seed = static_cast<std::uint64_t>(keys::seed.of(config))};
}

Index token_dimension(const StudyConfig& config, Index n) {
  return token_model(config, n, 0).token_dimension();
}

double token_numbers(const StudyConfig& config, Index n) {
  return static_cast<double>(n) * static_cast<double>(token_dimension(config, n));
}

SimplexModel simplex_model(const StudyConfig& config, Index n, double rho, double gamma) {
  const bool repeats = token_kind(config) == TokenKind::clustered;
  return SimplexModel::clustered(n, repeats ? keys::directions.of(config) : n, rho, gamma);
}

std::optional<Conflict> token_conflict(const StudyConfig& config) {
  if (token_kind(config) != TokenKind::clustered) return std::nullopt;
  const Index repeated = keys::directions.of(config);
  for (const Index length : keys::n.of(config)) {
    if (length % repeated == 0) continue;
    return Conflict{keys::n.name, fmt::format("{}; expected a multiple of directions, which is {}",
                                              length, repeated)};
  }
  return std::nullopt;
}

}  // namespace annulus::studies
