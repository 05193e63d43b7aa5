#pragma once
// The config of a study: a TOML file.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "annulus/base/data_type.hpp"
#include "annulus/base/index.hpp"

namespace annulus::studies {

/// How tokens are made.
enum class TokenKind {
  simplex,    ///< y_i = sqrt(rho) e_0 + sqrt(1-rho) e_i, in n + 1 dimensions
  gaussian,   ///< x_i = sqrt(rho) z_0 + sqrt(1-rho) z_i, z standard normal
  clustered,  ///< simplex directions, each repeated n / directions times
};

[[nodiscard]] std::string_view name_of(TokenKind kind);

/// A parsed config. Members that do not belong to the kind keep their defaults.
struct StudyConfig {
  std::string kind{};  ///< phase, needle, sphere, depth
  TokenKind tokens = TokenKind::simplex;
  std::vector<Index> n{};
  std::vector<double> rho{};
  std::vector<double> gamma{};
  Index dimension = 0;   ///< of gaussian and sphere tokens
  Index directions = 0;  ///< of clustered tokens
  Index layers = 0;      ///< depth
  double residual = 0;   ///< alpha, depth
  Index queries = 64;    ///< sphere
  std::uint64_t seed = 1;
  DataType precision = DataType::float64;
  bool gradient_norm = false;  ///< measure = ["gradient_norm"], phase
};

/// Reads a config from TOML `text`. Throws InputError that begins with `source` and names the key
/// and what was expected: TOML that cannot be read (with its line), keys that do not exist or do
/// not belong to the kind of study or tokens, keys that are missing, wrong types and values out of
/// range.
[[nodiscard]] StudyConfig parse_config(std::string_view text, const std::string& source);

/// The same from a file; throws InputError where it cannot be read.
[[nodiscard]] StudyConfig read_config(const std::string& path);

/// The config as TOML, with every key that belongs to it spelled out and every list in full.
/// parse_config reads it back to the same config.
[[nodiscard]] std::string canonical(const StudyConfig& config);

}  // namespace annulus::studies
