#pragma once
// Numbers out of option texts: the whole text or nothing.

#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

#include "annulus/base/index.hpp"

namespace annulus {

template <class Number>
[[nodiscard]] std::optional<Number> parse_whole(std::string_view text) {
  Number value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

[[nodiscard]] inline std::optional<Index> parse_index(std::string_view text) {
  return parse_whole<Index>(text);
}

/// A finite number.
[[nodiscard]] inline std::optional<double> parse_number(std::string_view text) {
  const auto value = parse_whole<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

}  // namespace annulus
