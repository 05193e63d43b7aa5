#include "base/toml_reader.hpp"

#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace annulus {
namespace {

toml::table parse(std::string_view text, const std::string& source) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    throw InputError(
        fmt::format("{}:{}: not TOML: {}", source, error.source().begin.line, error.description()));
  }
}

/// A finite number, whole or not; -0 is 0, as it is wherever numbers are compared.
std::optional<double> number_of(const toml::node& node) {
  if (!node.is_number()) return std::nullopt;
  const auto value = node.value<double>();
  if (!value || !std::isfinite(*value)) return std::nullopt;
  return *value + 0.0;
}

constexpr std::string_view list_forms = "a number, a list of numbers or {from, to, count, spacing}";

}  // namespace

TomlReader::TomlReader(std::string_view text, std::string source)
    : source_(std::move(source)), table_(parse(text, source_)) {}

InputError TomlReader::error(std::string_view key, const std::string& what) const {
  return InputError(fmt::format("{}: {}: {}", source_, key, what));
}

const toml::node& TomlReader::node(std::string_view key) {
  known_.emplace(key);
  const auto* found = table_.get(key);
  if (found == nullptr) throw error(key, "this key is missing");
  return *found;
}

TomlReader TomlReader::table(std::string_view key) {
  const auto* found = node(key).as_table();
  if (found == nullptr) throw error(key, "expected a table");
  return {*found, fmt::format("{}: {}", source_, key)};
}

std::vector<TomlReader> TomlReader::tables(std::string_view key) {
  if (!has(key)) return {};
  const auto* list = node(key).as_array();
  std::vector<TomlReader> found;
  if (list == nullptr || !list->is_array_of_tables()) throw error(key, "expected a list of tables");
  for (const auto& element : *list) {
    found.push_back(
        {*element.as_table(), fmt::format("{}: {} {}", source_, key, found.size() + 1)});
  }
  return found;
}

std::string TomlReader::text(std::string_view key) {
  const auto& found = node(key);
  if (!found.is_string()) throw error(key, "expected a string");
  return *found.value<std::string>();
}

Index TomlReader::integer(std::string_view key) {
  const auto& found = node(key);
  if (!found.is_integer()) throw error(key, "expected a whole number");
  return *found.value<Index>();
}

Index TomlReader::integer_in(std::string_view key, const WholeRange<Index>& range) {
  const Index value = integer(key);
  if (!range.contains(value)) {
    throw error(key, fmt::format("{}; expected {}", value, range.limits()));
  }
  return value;
}

double TomlReader::number(std::string_view key) {
  const auto value = number_of(node(key));
  if (!value) throw error(key, "expected a finite number");
  return *value;
}

std::vector<std::string> TomlReader::texts(std::string_view key) {
  const auto* list = node(key).as_array();
  if (list == nullptr) throw error(key, "expected a list of strings");
  std::vector<std::string> values;
  for (const auto& element : *list) {
    if (!element.is_string()) throw error(key, "expected a list of strings");
    values.push_back(*element.value<std::string>());
  }
  return values;
}

std::vector<double> TomlReader::range(std::string_view key, const toml::table& table) const {
  double from = 0;
  double to = 0;
  Index count = 0;
  std::string spacing = "linear";
  int required = 0;
  for (const auto& [name, value] : table) {
    const std::string_view part = name.str();
    if (part == "spacing") {
      spacing = value.value_or(std::string{});
      continue;
    }
    const auto given = number_of(value);
    if (!given) throw error(key, fmt::format("{}: expected a finite number", part));
    if (part == "count") {
      if (!value.is_integer() || *given < 1 || *given > 1e6) {
        throw error(key, "count: expected a whole number from 1 to 1000000");
      }
      count = static_cast<Index>(*given);
    } else if (part == "from" || part == "to") {
      (part == "from" ? from : to) = *given;
    } else {
      throw error(key, fmt::format("{}: no such key; a range has from, to, count, spacing", part));
    }
    ++required;
  }
  if (required != 3) throw error(key, "a range needs from, to and count");
  if (spacing != "linear" && spacing != "log") {
    throw error(key, fmt::format("spacing: '{}'; expected \"linear\" or \"log\"", spacing));
  }
  const bool log = spacing == "log";
  if (log && (from <= 0 || to <= 0)) {
    throw error(key, "spacing: log needs from and to above 0");
  }
  std::vector<double> values;
  for (Index i = 0; i < count; ++i) {
    // Both ends exactly.
    if (i == 0) {
      values.push_back(from);
    } else if (i == count - 1) {
      values.push_back(to);
    } else {
      const double part = static_cast<double>(i) / static_cast<double>(count - 1);
      values.push_back(log ? from * std::pow(to / from, part) : from + (to - from) * part);
    }
  }
  return values;
}

std::vector<double> TomlReader::numbers(std::string_view key) {
  const auto& found = node(key);
  if (const auto* table = found.as_table()) return range(key, *table);
  if (const auto value = number_of(found)) return {*value};
  const auto* list = found.as_array();
  if (list == nullptr) throw error(key, fmt::format("expected {}", list_forms));
  std::vector<double> values;
  for (const auto& element : *list) {
    const auto value = number_of(element);
    if (!value) throw error(key, fmt::format("expected {}, all finite", list_forms));
    values.push_back(*value);
  }
  if (values.empty()) throw error(key, "the list is empty; expected at least one value");
  return values;
}

std::vector<Index> TomlReader::integers(std::string_view key) {
  const auto* table = node(key).as_table();
  const bool by_factors = table != nullptr && (*table)["spacing"] == "log";
  std::vector<Index> values;
  for (const double value : numbers(key)) {
    const double whole = std::round(value);
    // A linear range meets whole numbers but for rounding.
    const double apart = table == nullptr ? 0 : 1e-12 * std::abs(value);
    if (std::abs(whole) > 0x1p53 || (!by_factors && std::abs(whole - value) > apart)) {
      throw error(key, fmt::format("{} is not a whole number", value));
    }
    values.push_back(static_cast<Index>(whole));
  }
  return values;
}

void TomlReader::refuse_unknown(std::string_view where) const {
  for (const auto& [key, value] : table_) {
    if (known_.contains(key.str())) continue;
    throw error(key.str(),
                fmt::format("no such key for {}; its keys are {}", where, fmt::join(known_, ", ")));
  }
}

}  // namespace annulus
