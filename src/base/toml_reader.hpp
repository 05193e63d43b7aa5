#pragma once
// Values out of a TOML table, with errors that name file and key.

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <toml++/toml.h>

#include "annulus/base/error.hpp"
#include "annulus/base/index.hpp"
#include "base/range.hpp"

namespace annulus {

/// Reads keys of one table and remembers which, so that unknown ones can be refused.
class TomlReader {
 public:
  /// Throws InputError with the line where `text` is not TOML.
  TomlReader(std::string_view text, std::string source);

  /// The table of a key that must be there, and those of a list of tables, which may be missing:
  /// their errors name the keys that lead there.
  [[nodiscard]] TomlReader table(std::string_view key);
  [[nodiscard]] std::vector<TomlReader> tables(std::string_view key);

  /// Whether an optional key is there.
  [[nodiscard]] bool has(std::string_view key) {
    known_.emplace(key);
    return table_.contains(key);
  }

  /// Values of a key that must be there; throw InputError where it is not, or is of another type.
  [[nodiscard]] std::string text(std::string_view key);
  [[nodiscard]] Index integer(std::string_view key);
  [[nodiscard]] Index integer_in(std::string_view key, const WholeRange<Index>& range);
  [[nodiscard]] double number(std::string_view key);
  [[nodiscard]] std::vector<std::string> texts(std::string_view key);
  /// A number, a list of numbers, or {from, to, count, spacing = "linear" | "log"}.
  [[nodiscard]] std::vector<double> numbers(std::string_view key);
  /// The same for whole numbers; those of a range with log spacing are rounded.
  [[nodiscard]] std::vector<Index> integers(std::string_view key);

  /// Throws InputError for a key that nobody asked for; `where` says what the others belong to.
  void refuse_unknown(std::string_view where) const;

  /// An error about `key`: source, key, what is wrong.
  [[nodiscard]] InputError error(std::string_view key, const std::string& what) const;

 private:
  TomlReader(toml::table table, std::string source)
      : source_(std::move(source)), table_(std::move(table)) {}

  /// The node of `key`, which must be there.
  const toml::node& node(std::string_view key);
  std::vector<double> range(std::string_view key, const toml::table& table) const;

  std::string source_;
  toml::table table_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace annulus
