#include "annulus/studies/config.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"
#include "base/choices.hpp"
#include "base/text_file.hpp"
#include "base/toml_reader.hpp"
#include "studies/key_type.hpp"
#include "studies/keys.hpp"
#include "studies/kind.hpp"

namespace annulus::studies {
namespace {

const StudyKind& read_kind(TomlReader& reader) {
  const auto name = reader.text("kind");
  std::vector<std::string_view> names;
  for (const auto* kind : registered_kinds()) {
    if (kind->name == name) return *kind;
    names.push_back(kind->name);
  }
  throw reader.error("kind", fmt::format("'{}'; expected {}", name, choices(names)));
}

/// Throws where `value`, or an element of it, is not allowed.
template <class T, class Element>
void check_allowed(const TomlReader& reader, const Key<T>& key, const Element& value) {
  if (!key.allowed.contains || key.allowed.contains(value)) return;
  const std::string_view quote = std::is_same_v<Element, std::string> ? "'" : "";
  throw reader.error(key.name,
                     fmt::format("{}{}{}; expected {}", quote, value, quote, key.allowed.words));
}

template <class T>
void check_value(const TomlReader& reader, const Key<T>& key, T& value) {
  check_allowed(reader, key, value);
}
template <class T>
void check_value(const TomlReader& reader, const Key<std::vector<T>>& key, std::vector<T>& list) {
  for (const auto& value : list) check_allowed(reader, key, value);
  auto sorted = list;
  std::ranges::sort(sorted);
  const auto twice = std::ranges::adjacent_find(sorted);
  if (twice == sorted.end()) return;
  throw reader.error(key.name, fmt::format("{} is there twice; expected different values", *twice));
}
/// Texts ask for things, so that one that is there twice asks for no more.
void check_value(const TomlReader& reader, const Key<std::vector<std::string>>& key,
                 std::vector<std::string>& list) {
  for (const auto& value : list) check_allowed(reader, key, value);
  std::ranges::sort(list);
  list.erase(std::unique(list.begin(), list.end()), list.end());
}

template <class T>
T read_value(TomlReader& reader, const Key<T>& key) {
  if (key.otherwise && !reader.has(key.name)) return *key.otherwise;
  T value = (reader.*KeyType<T>::read)(key.name);
  check_value(reader, key, value);
  return value;
}

DataType read_precision(const TomlReader& reader, const StudyConfig& config) {
  try {
    return parse_data_type(keys::precision.of(config));
  } catch (const InputError& error) {
    throw reader.error(keys::precision.name, error.what());
  }
}

/// Throws where a variable of the study would have more numbers than are to be kept.
void check_size(const std::string& source, const StudyKind& kind, const StudyConfig& config) {
  constexpr double most = 1e7;
  double count = kind.inner == nullptr ? 1 : static_cast<double>(kind.inner->of(config));
  std::vector<std::string> axes;
  for (const auto& any_key : kind.keys) {
    std::visit(
        [&]<class T>(const Key<T>* key) {
          if constexpr (std::is_same_v<T, std::vector<Index>> ||
                        std::is_same_v<T, std::vector<double>>) {
            axes.emplace_back(key->name);
            count *= static_cast<double>(key->of(config).size());
          }
        },
        any_key);
  }
  if (kind.inner != nullptr) axes.emplace_back(kind.inner->name);
  if (count <= most) return;
  throw InputError(fmt::format("{}: {}: a grid of {:.0f} points; expected at most {:.0f}", source,
                               fmt::join(axes, " x "), count, most));
}

}  // namespace

StudyConfig parse_config(std::string_view text, const std::string& source) {
  TomlReader reader(text, source);
  const auto& kind = read_kind(reader);
  StudyConfig config{.kind = std::string(kind.name)};
  for (const auto& any_key : kind.keys) {
    std::visit(
        [&](const auto* key) {
          if (key->belongs && !key->belongs(config)) return;
          config.values.emplace(key->name, read_value(reader, *key));
        },
        any_key);
  }
  config.precision = read_precision(reader, config);
  if (kind.conflict != nullptr) {
    if (const auto found = kind.conflict(config)) throw reader.error(found->key, found->what);
  }
  check_size(source, kind, config);
  const bool has_tokens = config.values.contains(keys::tokens.name);
  reader.refuse_unknown(
      has_tokens ? fmt::format("a {} study of {} tokens", kind.name, keys::tokens.of(config))
                 : fmt::format("a {} study", kind.name));
  return config;
}

StudyConfig read_config(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    throw InputError(fmt::format("{}: there is no such file; expected a TOML file", path));
  }
  const auto text = text_of_file(path);
  if (!text) {
    throw InputError(fmt::format("{}: this config cannot be read; expected a TOML file", path));
  }
  return parse_config(*text, path);
}

std::string canonical(const StudyConfig& config) {
  std::string text = fmt::format("kind = \"{}\"\n", config.kind);
  for (const auto& any_key : kind_of(config).keys) {
    std::visit(
        [&](const auto* key) {
          if (key->belongs && !key->belongs(config)) return;
          text += fmt::format("{} = {}\n", key->name, toml_text(key->of(config)));
        },
        any_key);
  }
  return text;
}

}  // namespace annulus::studies
