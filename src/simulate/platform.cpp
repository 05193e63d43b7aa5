#include "simulate/platform.hpp"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <numeric>

#include <fmt/format.h>

#include "base/range.hpp"
#include "base/text_file.hpp"
#include "base/toml_reader.hpp"

namespace annulus::simulate {
namespace {

constexpr Index most = Index{1} << 20;

Index count(TomlReader& reader, const char* key, Index least = 1) {
  return reader.integer_in(key, {least, most});
}

double number(TomlReader& reader, const char* key, const RealRange& range) {
  const double value = reader.number(key);
  if (!range.contains(value)) {
    throw reader.error(key, fmt::format("{}; expected {}", value, range.words()));
  }
  return value;
}

std::vector<Index> counts(TomlReader& reader, const char* key, std::size_t length) {
  const auto values = reader.integers(key);
  const WholeRange<Index> range{1, most};
  if (values.size() != length) {
    throw reader.error(key, fmt::format("{} numbers; expected {}", values.size(), length));
  }
  for (const Index value : values) {
    if (!range.contains(value)) {
      throw reader.error(key, fmt::format("{}; expected {}", value, range.limits()));
    }
  }
  return values;
}

LinkRate link(TomlReader& reader, const char* bandwidth, const char* latency) {
  return {number(reader, bandwidth, RealRange::above(0)), number(reader, latency, {.least = 0})};
}

Crossbar crossbar(TomlReader& reader) {
  return {count(reader, "nodes")};
}

FatTree fat_tree(TomlReader& reader) {
  const auto levels = reader.integers("down").size();
  return {counts(reader, "down", levels), counts(reader, "up", levels),
          counts(reader, "links", levels)};
}

Dragonfly dragonfly(TomlReader& reader) {
  return {counts(reader, "groups", 2), counts(reader, "chassis", 2), counts(reader, "routers", 2),
          count(reader, "nodes")};
}

/// Of numbers up to `most`; more than that is `most` and one.
Index product(std::initializer_list<Index> factors) {
  return std::accumulate(factors.begin(), factors.end(), Index{1},
                         [](Index all, Index factor) { return std::min(all * factor, most + 1); });
}

Index nodes_of(const Crossbar& network) {
  return network.nodes;
}
Index nodes_of(const FatTree& network) {
  Index nodes = 1;
  for (const Index below : network.down) nodes = product({nodes, below});
  return nodes;
}
Index nodes_of(const Dragonfly& network) {
  return product({network.groups[0], network.chassis[0], network.routers[0], network.nodes});
}

}  // namespace

Index Platform::nodes() const {
  return std::visit([](const auto& of) { return nodes_of(of); }, network);
}

Platform read_platform(const std::string& path) {
  const auto text = text_of_file(path);
  if (!text) throw InputError(fmt::format("{} cannot be read; expected a platform", path));
  TomlReader reader(*text, path);
  Platform platform{.name = std::filesystem::path(path).stem()};
  platform.ranks_per_node = count(reader, "ranks_per_node");
  platform.inside = link(reader, "inside_bandwidth", "inside_latency");
  platform.outside = link(reader, "outside_bandwidth", "outside_latency");
  platform.hop_latency = number(reader, "hop_latency", {.least = 0});
  platform.payload = number(reader, "payload", {.least = 0, .most = 1, .without_least = true});
  platform.busy_per_byte = number(reader, "busy_per_byte", {.least = 0, .most = 1});
  platform.eager_bytes = count(reader, "eager_bytes", 0);
  const auto kind = reader.text("network");
  if (kind == "crossbar") {
    platform.network = crossbar(reader);
  } else if (kind == "fat-tree") {
    platform.network = fat_tree(reader);
  } else if (kind == "dragonfly") {
    platform.network = dragonfly(reader);
  } else {
    throw reader.error("network",
                       fmt::format("'{}'; expected crossbar, fat-tree or dragonfly", kind));
  }
  reader.refuse_unknown(fmt::format("a {} platform", kind));
  if (platform.nodes() > most || platform.ranks() > most) {
    throw reader.error("network", fmt::format("more than {} ranks", most));
  }
  return platform;
}

}  // namespace annulus::simulate
