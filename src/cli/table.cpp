#include "cli/table.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus::cli {

Cell cell(const std::string& text) {
  return {text, text};
}

Cell cell(std::int64_t value) {
  return {value, fmt::format("{}", value)};
}

Cell cell(double value, int digits) {
  if (std::isnan(value)) return {nullptr, "-"};
  // JSON has no infinities.
  if (std::isinf(value)) return {value > 0 ? "inf" : "-inf", value > 0 ? "inf" : "-inf"};
  return {value, fmt::format("{:.{}g}", value, digits)};
}

void Table::add(std::vector<Cell> row) {
  ensure(row.size() == columns_.size(), "a table row has a cell for every column");
  rows_.push_back(std::move(row));
}

std::string Table::text() const {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    auto width = columns_[c].size();
    for (const auto& row : rows_) width = std::max(width, row[c].text.size());
    widths.push_back(width);
  }
  std::string text;
  const auto append_line = [&](const auto& text_of, const auto& left_of) {
    std::string line;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (c > 0) line += "  ";
      line += left_of(c) ? fmt::format("{:<{}}", text_of(c), widths[c])
                         : fmt::format("{:>{}}", text_of(c), widths[c]);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  };
  const auto is_text = [&](std::size_t c) {
    return !rows_.empty() && std::all_of(rows_.begin(), rows_.end(),
                                         [&](const auto& row) { return row[c].value.is_string(); });
  };
  append_line([&](std::size_t c) { return columns_[c]; }, is_text);
  for (const auto& row : rows_) {
    append_line([&](std::size_t c) { return row[c].text; }, is_text);
  }
  return text;
}

std::string Table::folded_text(const std::vector<std::string>& kept) const {
  std::string above;
  std::vector<std::string> folded;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    const bool same = std::all_of(rows_.begin(), rows_.end(), [&](const auto& row) {
      return row[c].text == rows_.front()[c].text;
    });
    if (!same || rows_.empty() || std::ranges::find(kept, columns_[c]) != kept.end()) continue;
    above += fmt::format("{}{} {}", above.empty() ? "" : ", ", columns_[c], rows_.front()[c].text);
    folded.push_back(columns_[c]);
  }
  return above + '\n' + (folded.size() == columns_.size() ? "" : without(folded).text());
}

Table Table::without(const std::vector<std::string>& columns) const {
  Table rest({});
  rest.rows_.resize(rows_.size());
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    if (std::ranges::find(columns, columns_[c]) != columns.end()) continue;
    rest.columns_.push_back(columns_[c]);
    for (std::size_t r = 0; r < rows_.size(); ++r) rest.rows_[r].push_back(rows_[r][c]);
  }
  return rest;
}

namespace {

std::string csv_value(const Json& value) {
  if (value.is_null()) return {};
  if (value.is_array()) {
    std::string list;
    for (const auto& element : value) list += (list.empty() ? "" : " ") + csv_value(element);
    return list;
  }
  if (!value.is_string()) return value.dump();
  auto text = value.get<std::string>();
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  for (auto at = text.find('"'); at != std::string::npos; at = text.find('"', at + 2)) {
    text.insert(at, 1, '"');
  }
  return '"' + text + '"';
}

}  // namespace

std::string Table::csv() const {
  std::string text;
  for (const auto& column : columns_) text += (text.empty() ? "" : ",") + csv_value(column);
  text += '\n';
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c)
      line += (c == 0 ? "" : ",") + csv_value(row[c].value);
    text += line + '\n';
  }
  return text;
}

Json Table::json() const {
  Json rows = Json::array();
  for (const auto& row : rows_) {
    Json object;
    for (std::size_t c = 0; c < columns_.size(); ++c) object[columns_[c]] = row[c].value;
    rows.push_back(std::move(object));
  }
  return rows;
}

namespace {

struct Unit {
  double size;
  const char* name;
};

template <std::size_t count>
std::string with_unit(double value, const std::array<Unit, count>& units) {
  for (const auto& unit : units) {
    if (std::abs(value) >= unit.size) return fmt::format("{:.4g} {}", value / unit.size, unit.name);
  }
  return fmt::format("{:.4g} {}", value / units.back().size, units.back().name);
}

}  // namespace

std::string bytes_text(double bytes) {
  static constexpr std::array<Unit, 5> units{
      {{0x1p40, "TiB"}, {0x1p30, "GiB"}, {0x1p20, "MiB"}, {0x1p10, "KiB"}, {1, "B"}}};
  return with_unit(bytes, units);
}

std::string seconds_text(double seconds) {
  static constexpr std::array<Unit, 5> units{
      {{3600, "h"}, {60, "min"}, {1, "s"}, {1e-3, "ms"}, {1e-6, "us"}}};
  return with_unit(seconds, units);
}

}  // namespace annulus::cli
