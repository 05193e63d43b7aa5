#pragma once
// The config of a study: a TOML file.

#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "annulus/base/data_type.hpp"
#include "annulus/base/index.hpp"

namespace annulus::studies {

/// The value of a key of a config.
using StudyValue = std::variant<Index, double, std::string, std::vector<Index>, std::vector<double>,
                                std::vector<std::string>>;

/// A parsed config: the kind of study and the value of every key that belongs to it, defaults too.
struct StudyConfig {
  std::string kind{};  ///< one of study_kinds()
  std::map<std::string, StudyValue, std::less<>> values{};
  DataType precision = DataType::float64;  ///< what the key `precision` says
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

/// A key of a config, in words.
struct StudyKeyDescription {
  std::string name;
  std::string type;           ///< "whole number", "list of numbers"
  std::string allowed;        ///< what a value, or each of a list, may be
  std::string default_value;  ///< as written in a config; empty: the key must be there
  std::string belongs_to;     ///< where it exists, such as "gaussian tokens"; empty: everywhere
  std::string meaning;        ///< without a full stop
};

/// A kind of study, in words.
struct StudyKindDescription {
  std::string name;
  std::string description;
  std::vector<StudyKeyDescription> keys;  ///< without `kind`
};

/// All kinds of study.
[[nodiscard]] std::vector<StudyKindDescription> study_kinds();

}  // namespace annulus::studies
