#include "annulus/plan/sharding.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "plan/balanced.hpp"

namespace annulus {
namespace {

using Shards = std::vector<Shard>;

void append(Shards& shards, Index rank, const Run& run) {
  if (run.count > 0) shards[static_cast<std::size_t>(rank)].push_back(run);
}

Shards contiguous(std::span<const Index> offsets, int ranks, const RowWork&) {
  Shards shards(static_cast<std::size_t>(ranks));
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
  return shards;
}

Shards zigzag(std::span<const Index> offsets, int ranks, const RowWork&) {
  Shards shards(static_cast<std::size_t>(ranks));
  const Index chunks = 2 * Index{ranks};
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
  return shards;
}

Shards striped(std::span<const Index> offsets, int ranks, const RowWork&) {
  Shards shards(static_cast<std::size_t>(ranks));
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
  return shards;
}

struct Entry {
  Sharding sharding;
  std::string_view name;
  Shards (*cut)(std::span<const Index> offsets, int ranks, const RowWork& work);
};

// A new sharding is one function above and one line here (and its name in the enum).
constexpr std::array<Entry, 4> entries{{{Sharding::contiguous, "contiguous", contiguous},
                                        {Sharding::zigzag, "zigzag", zigzag},
                                        {Sharding::balanced, "balanced", balanced_shards},
                                        {Sharding::striped, "striped", striped}}};
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

std::vector<Shard> make_shards(Sharding sharding, std::span<const Index> offsets, int ranks,
                               const RowWork& work) {
  ensure(ranks >= 1 && !offsets.empty(), "shards need a rank and the offsets of the documents");
  return entry_of(sharding).cut(offsets, ranks, work);
}

}  // namespace annulus
