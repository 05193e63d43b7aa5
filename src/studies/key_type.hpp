#pragma once
// The types that values of keys have in a config: their names, how they are read and written.

#include <string>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/toml_reader.hpp"
#include "studies/key.hpp"

namespace annulus::studies {

template <class T>
struct KeyType;
template <>
struct KeyType<Index> {
  static constexpr std::string_view name = "whole number";
  static constexpr auto read = &TomlReader::integer;
};
template <>
struct KeyType<double> {
  static constexpr std::string_view name = "number";
  static constexpr auto read = &TomlReader::number;
};
template <>
struct KeyType<std::string> {
  static constexpr std::string_view name = "text";
  static constexpr auto read = &TomlReader::text;
};
template <>
struct KeyType<std::vector<Index>> {
  static constexpr std::string_view name = "whole numbers";
  static constexpr auto read = &TomlReader::integers;
};
template <>
struct KeyType<std::vector<double>> {
  static constexpr std::string_view name = "numbers";
  static constexpr auto read = &TomlReader::numbers;
};
template <>
struct KeyType<std::vector<std::string>> {
  static constexpr std::string_view name = "list of texts";
  static constexpr auto read = &TomlReader::texts;
};

/// A value as TOML. Numbers without a point read back as integers, which is as well.
template <class T>
[[nodiscard]] std::string toml_text(const T& value) {
  return fmt::format("{}", value);
}
[[nodiscard]] inline std::string toml_text(const std::string& value) {
  return fmt::format("\"{}\"", value);
}
template <class T>
[[nodiscard]] std::string toml_text(const std::vector<T>& values) {
  std::vector<std::string> texts;
  for (const auto& value : values) texts.push_back(toml_text(value));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

}  // namespace annulus::studies
