#pragma once
// Tables, for people and for programs.

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace annulus::cli {

using Json = nlohmann::ordered_json;

/// A cell is a string, a number (with the text that people see) or null.
struct Cell {
  Json value;
  std::string text;
};

[[nodiscard]] Cell cell(const std::string& text);
[[nodiscard]] Cell cell(std::int64_t value);
/// `digits` significant digits in the text; all of them in JSON. NaN is null and `-`.
[[nodiscard]] Cell cell(double value, int digits = 4);

/// Rows of named columns.
class Table {
 public:
  explicit Table(std::vector<std::string> columns) : columns_(std::move(columns)) {}

  void add(std::vector<Cell> row);

  /// Aligned text: a heading, and a line a row; text to the left, numbers to the right.
  [[nodiscard]] std::string text() const;
  /// The same, but columns that say the same in every row, and are not `kept`, are listed above the
  /// others, once.
  [[nodiscard]] std::string folded_text(const std::vector<std::string>& kept = {}) const;
  /// A line of names and a line a row, as RFC 4180 has it; null is empty, and the numbers of a list
  /// have blanks between them.
  [[nodiscard]] std::string csv() const;
  /// The same rows without some columns.
  [[nodiscard]] Table without(const std::vector<std::string>& columns) const;
  /// A list of objects, one a row.
  [[nodiscard]] Json json() const;

 private:
  std::vector<std::string> columns_;
  std::vector<std::vector<Cell>> rows_;
};

/// A number of bytes or operations with a prefix: 1.5 GiB is bytes_text(1.5 * 2^30).
[[nodiscard]] std::string bytes_text(double bytes);
[[nodiscard]] std::string seconds_text(double seconds);

}  // namespace annulus::cli
