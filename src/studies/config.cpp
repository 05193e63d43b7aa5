#include "annulus/studies/config.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"
#include "studies/toml_reader.hpp"

namespace annulus::studies {
namespace {

constexpr std::array<std::pair<TokenKind, std::string_view>, 3> token_kinds{
    {{TokenKind::simplex, "simplex"},
     {TokenKind::gaussian, "gaussian"},
     {TokenKind::clustered, "clustered"}}};

/// Which groups of keys a kind has.
struct KindKeys {
  std::string_view name;
  bool tokens;   // tokens, rho, and what belongs to the tokens
  bool layers;   // layers, residual
  bool measure;  // gradient_norm
};
constexpr std::array<KindKeys, 4> kinds{{{"phase", true, false, true},
                                         {"needle", false, false, false},
                                         {"sphere", false, false, false},
                                         {"depth", true, true, false}}};

template <class Value, class Allowed>
void check_axis(const TomlReader& reader, std::string_view key, const std::vector<Value>& values,
                Allowed allowed, std::string_view expected) {
  for (const auto value : values) {
    if (!allowed(value)) throw reader.error(key, fmt::format("{}; expected {}", value, expected));
  }
  auto sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) {
    throw reader.error(key, fmt::format("{} is there twice; expected different values", *twice));
  }
}

Index integer_at_least(TomlReader& reader, std::string_view key, Index least) {
  const Index value = reader.integer(key);
  if (value < least || value > (Index{1} << 32)) {
    throw reader.error(key,
                       fmt::format("{}; expected a whole number of at least {}", value, least));
  }
  return value;
}

void read_tokens(TomlReader& reader, StudyConfig& config) {
  const auto name = reader.text("tokens");
  const auto* found = std::find_if(token_kinds.begin(), token_kinds.end(),
                                   [&](const auto& entry) { return entry.second == name; });
  if (found == token_kinds.end()) {
    throw reader.error("tokens",
                       fmt::format("'{}'; expected simplex, gaussian or clustered", name));
  }
  config.tokens = found->first;
  if (config.tokens == TokenKind::gaussian) {
    config.dimension = integer_at_least(reader, "dimension", 1);
  }
  if (config.tokens == TokenKind::clustered) {
    config.directions = integer_at_least(reader, "directions", 2);
    for (const Index n : config.n) {
      if (n % config.directions == 0) continue;
      throw reader.error("n", fmt::format("{}; expected a multiple of directions, which is {}", n,
                                          config.directions));
    }
  }
}

void read_measure(TomlReader& reader, StudyConfig& config) {
  if (!reader.has("measure")) return;
  for (const auto& name : reader.texts("measure")) {
    if (name != "gradient_norm") {
      throw reader.error("measure", fmt::format("'{}'; expected gradient_norm", name));
    }
    config.gradient_norm = true;
  }
}

const KindKeys& read_kind(TomlReader& reader) {
  const auto name = reader.text("kind");
  for (const auto& kind : kinds) {
    if (kind.name == name) return kind;
  }
  throw reader.error("kind", fmt::format("'{}'; expected phase, needle, sphere or depth", name));
}

}  // namespace

std::string_view name_of(TokenKind kind) {
  for (const auto& [known, name] : token_kinds) {
    if (known == kind) return name;
  }
  broken_invariant("unknown kind of tokens");
}

StudyConfig parse_config(std::string_view text, const std::string& source) {
  TomlReader reader(text, source);
  const auto& kind = read_kind(reader);
  const bool sphere = kind.name == "sphere";
  StudyConfig config{.kind = std::string(kind.name)};
  config.n = reader.integers("n");
  check_axis(
      reader, "n", config.n, [](Index n) { return n >= 2 && n <= (Index{1} << 40); },
      "at least 2 tokens");
  config.gamma = reader.numbers("gamma");
  check_axis(
      reader, "gamma", config.gamma, [](double gamma) { return gamma >= 0 && gamma <= 1e4; },
      "0 to 10000");
  if (!sphere) {
    config.rho = reader.numbers("rho");
    check_axis(
        reader, "rho", config.rho, [](double rho) { return rho >= 0 && rho < 1; },
        "0 or more and below 1");
  }
  if (kind.tokens) read_tokens(reader, config);
  if (sphere) {
    config.dimension = integer_at_least(reader, "dimension", 2);
    if (reader.has("queries")) config.queries = integer_at_least(reader, "queries", 1);
  }
  if (kind.layers) {
    config.layers = integer_at_least(reader, "layers", 1);
    if (reader.has("residual")) config.residual = reader.number("residual");
  }
  if (kind.measure) read_measure(reader, config);
  if (reader.has("seed")) {
    config.seed = static_cast<std::uint64_t>(integer_at_least(reader, "seed", 0));
  }
  if (reader.has("precision")) {
    const auto name = reader.text("precision");
    try {
      config.precision = parse_data_type(name);
    } catch (const InputError& error) {
      throw reader.error("precision", error.what());
    }
  }
  const auto where = kind.tokens
                         ? fmt::format("a {} study of {} tokens", kind.name, name_of(config.tokens))
                         : fmt::format("a {} study", kind.name);
  reader.refuse_unknown(where);
  return config;
}

StudyConfig read_config(const std::string& path) {
  std::error_code ignored;
  std::ifstream file;
  // A pipe would be waited for.
  if (std::filesystem::is_regular_file(path, ignored)) file.open(path);
  std::ostringstream text;
  if (!file.is_open() || !(text << file.rdbuf())) {
    throw InputError(fmt::format("{}: this config cannot be read; expected a TOML file", path));
  }
  return parse_config(text.str(), path);
}

std::string canonical(const StudyConfig& config) {
  std::string text = fmt::format("kind = \"{}\"\n", config.kind);
  // Numbers without a point would read back as integers, which is as well.
  const auto list = [](const auto& values) { return fmt::format("[{}]", fmt::join(values, ", ")); };
  const auto line = [&](std::string_view key, const auto& value) {
    text += fmt::format("{} = {}\n", key, value);
  };
  const bool phase = config.kind == "phase";
  const bool depth = config.kind == "depth";
  const bool sphere = config.kind == "sphere";
  if (phase || depth) line("tokens", fmt::format("\"{}\"", name_of(config.tokens)));
  line("n", list(config.n));
  if (!sphere) line("rho", list(config.rho));
  line("gamma", list(config.gamma));
  if (config.dimension > 0) line("dimension", config.dimension);
  if (config.directions > 0) line("directions", config.directions);
  if (depth) {
    line("layers", config.layers);
    line("residual", config.residual);
  }
  if (sphere) line("queries", config.queries);
  line("seed", config.seed);
  line("precision", fmt::format("\"{}\"", name_of(config.precision)));
  if (phase) line("measure", config.gradient_norm ? "[\"gradient_norm\"]" : "[]");
  return text;
}

}  // namespace annulus::studies
