#include "annulus/plan/sharding.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "plan/shardings/shardings.hpp"

namespace annulus {
namespace {

struct Entry {
  Sharding sharding;
  std::string_view name;
  MakeShardMap make;
};

// A new sharding is one file and one line here (and its name in the enum).
constexpr std::array<Entry, 4> entries{{{Sharding::contiguous, "contiguous", shardings::contiguous},
                                        {Sharding::zigzag, "zigzag", shardings::zigzag},
                                        {Sharding::balanced, "balanced", shardings::balanced},
                                        {Sharding::striped, "striped", shardings::striped}}};
constexpr std::array<Sharding, 4> candidates{Sharding::contiguous, Sharding::zigzag,
                                             Sharding::balanced, Sharding::striped};

const Entry& entry_of(Sharding sharding) {
  for (const auto& entry : entries) {
    if (entry.sharding == sharding) return entry;
  }
  broken_invariant("unknown sharding");
}

}  // namespace

std::span<const Sharding> all_shardings() {
  return candidates;
}

std::string_view name_of(Sharding sharding) {
  return entry_of(sharding).name;
}

Sharding parse_sharding(std::string_view name) {
  for (const auto& entry : entries) {
    if (entry.name == name) return entry.sharding;
  }
  throw InputError(fmt::format(
      "unknown sharding '{}'; expected auto, contiguous, zigzag, striped or balanced", name));
}

std::shared_ptr<const ShardMap> make_shard_map(Sharding sharding, std::span<const Index> offsets,
                                               int ranks, const RowWork& work) {
  ensure(ranks >= 1 && !offsets.empty(), "shards need a rank and the offsets of the documents");
  return entry_of(sharding).make(offsets, ranks, work);
}

std::vector<Shard> make_shards(Sharding sharding, std::span<const Index> offsets, int ranks,
                               const RowWork& work) {
  const auto map = make_shard_map(sharding, offsets, ranks, work);
  std::vector<Shard> shards;
  for (int rank = 0; rank < ranks; ++rank) shards.push_back(map->of(rank));
  return shards;
}

}  // namespace annulus
