#include "annulus/plan/sharding.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus {
namespace {

using Shards = std::vector<Shard>;

void append(Shards& shards, Index rank, const Run& run) {
  if (run.count > 0) shards[static_cast<std::size_t>(rank)].push_back(run);
}

void contiguous(Shards& shards, std::span<const Index> offsets, Index ranks) {
  const Index rows = offsets.back();
  Index document = 0;
  for (Index rank = 0; rank < ranks; ++rank) {
    const Index end = rows * (rank + 1) / ranks;
    for (Index row = rows * rank / ranks; row < end;) {
      while (offsets[static_cast<std::size_t>(document) + 1] <= row) ++document;
      const Index start = offsets[static_cast<std::size_t>(document)];
      const Index stop = std::min(end, offsets[static_cast<std::size_t>(document) + 1]);
      append(shards, rank, {.document = document, .first = row - start, .count = stop - row});
      row = stop;
    }
  }
}

void zigzag(Shards& shards, std::span<const Index> offsets, Index ranks) {
  const Index chunks = 2 * ranks;
  for (std::size_t document = 0; document + 1 < offsets.size(); ++document) {
    const Index length = offsets[document + 1] - offsets[document];
    // The rows that do not divide by 2P go to other chunks in each document, so that many short
    // documents spread evenly.
    const Index phase = offsets[document] % chunks;
    const auto boundary = [&](Index chunk) {
      if (chunk == 0) return Index{0};
      return chunk == chunks ? length : (chunk * length + phase) / chunks;
    };
    for (Index rank = 0; rank < ranks; ++rank) {
      for (const Index chunk : {rank, chunks - 1 - rank}) {
        append(shards, rank,
               {.document = static_cast<Index>(document),
                .first = boundary(chunk),
                .count = boundary(chunk + 1) - boundary(chunk)});
      }
    }
  }
}

void striped(Shards& shards, std::span<const Index> offsets, Index ranks) {
  for (std::size_t document = 0; document + 1 < offsets.size(); ++document) {
    const Index length = offsets[document + 1] - offsets[document];
    for (Index rank = 0; rank < ranks; ++rank) {
      const Index first = (rank - offsets[document] % ranks + ranks) % ranks;
      append(shards, rank,
             {.document = static_cast<Index>(document),
              .first = first,
              .stride = ranks,
              .count = length > first ? ceil_div(length - first, ranks) : 0});
    }
  }
}

struct Entry {
  Sharding sharding;
  std::string_view name;
  void (*cut)(Shards& shards, std::span<const Index> offsets, Index ranks);
};

// A new sharding is one function above and one line here (and its name in the enum).
constexpr std::array<Entry, 3> entries{{{Sharding::contiguous, "contiguous", contiguous},
                                        {Sharding::zigzag, "zigzag", zigzag},
                                        {Sharding::striped, "striped", striped}}};
constexpr std::array<Sharding, 3> order{Sharding::contiguous, Sharding::zigzag, Sharding::striped};

const Entry& entry_of(Sharding sharding) {
  for (const auto& entry : entries) {
    if (entry.sharding == sharding) return entry;
  }
  broken_invariant("unknown sharding");
}

}  // namespace

std::span<const Sharding> all_shardings() {
  return order;
}

std::string_view name_of(Sharding sharding) {
  return entry_of(sharding).name;
}

Sharding parse_sharding(std::string_view name) {
  for (const auto& entry : entries) {
    if (entry.name == name) return entry.sharding;
  }
  throw InputError(
      fmt::format("unknown sharding '{}'; expected auto, contiguous, zigzag or striped", name));
}

std::vector<Shard> make_shards(Sharding sharding, std::span<const Index> offsets, int ranks) {
  ensure(ranks >= 1 && !offsets.empty(), "shards need a rank and the offsets of the documents");
  Shards shards(static_cast<std::size_t>(ranks));
  entry_of(sharding).cut(shards, offsets, ranks);
  return shards;
}

}  // namespace annulus
