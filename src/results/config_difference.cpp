#include "results/config_difference.hpp"

#include <algorithm>
#include <map>
#include <sstream>
#include <vector>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "annulus/base/error.hpp"

namespace annulus::results {
namespace {

/// A value and where it stands: `gamma[3]`, `machine.bandwidth`.
struct Entry {
  std::string path;
  std::string value;
};
using Entries = std::map<std::string, std::vector<Entry>>;  // by top-level key

void flatten(const toml::node& node, const std::string& path, std::vector<Entry>& entries) {
  const auto* table = node.as_table();
  const auto* array = node.as_array();
  if ((table && table->empty()) || (array && array->empty())) {
    entries.push_back({path, table ? "{}" : "[]"});
  } else if (table) {
    for (const auto& [key, child] : *table) {
      flatten(child, fmt::format("{}.{}", path, key.str()), entries);
    }
  } else if (array) {
    for (std::size_t i = 0; i < array->size(); ++i) {
      flatten((*array)[i], fmt::format("{}[{}]", path, i), entries);
    }
  } else {
    std::ostringstream text;
    node.visit([&](const auto& value) { text << value; });
    entries.push_back({path, text.str()});
  }
}

Entries parse(const std::string& text) {
  Entries entries;
  try {
    const toml::table table = toml::parse(text);
    for (const auto& [key, child] : table) {
      const std::string name(key.str());
      flatten(child, name, entries[name]);
    }
  } catch (const toml::parse_error& error) {
    throw Error(fmt::format("a config is not TOML: {}", error.description()));
  }
  return entries;
}

/// The phrase for one key; empty where the entries are the same.
std::string difference(const std::string& key, const std::vector<Entry>& there,
                       const std::vector<Entry>& here) {
  for (std::size_t i = 0; i < std::max(there.size(), here.size()); ++i) {
    const Entry* old_entry = i < there.size() ? &there[i] : nullptr;
    const Entry* new_entry = i < here.size() ? &here[i] : nullptr;
    if (old_entry != nullptr && new_entry != nullptr) {
      if (old_entry->path == new_entry->path && old_entry->value == new_entry->value) continue;
      if (old_entry->path != new_entry->path) return key + " has another structure";
    }
    const auto value = [](const Entry* entry) {
      return entry == nullptr ? std::string("absent") : entry->value;
    };
    return fmt::format("{} is {} there and {} here", (old_entry ? old_entry : new_entry)->path,
                       value(old_entry), value(new_entry));
  }
  return {};
}

}  // namespace

std::string config_difference(const std::string& there, const std::string& here) {
  const Entries old_entries = parse(there);
  const Entries new_entries = parse(here);
  Entries keys = old_entries;
  keys.insert(new_entries.begin(), new_entries.end());
  std::string phrases;
  for (const auto& [key, unused] : keys) {
    const auto entries_in = [&key = key](const Entries& entries) {
      const auto found = entries.find(key);
      return found == entries.end() ? std::vector<Entry>{} : found->second;
    };
    const auto phrase = difference(key, entries_in(old_entries), entries_in(new_entries));
    if (!phrase.empty()) phrases += (phrases.empty() ? "" : ", ") + phrase;
  }
  return phrases;
}

}  // namespace annulus::results
