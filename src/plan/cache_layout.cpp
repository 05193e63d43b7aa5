#include "annulus/plan/cache_layout.hpp"

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus {
namespace {

/// Appends `run` behind `shard`, as part of the last run where that goes on like this.
void append_run(Shard& shard, const Run& run) {
  if (!shard.empty()) {
    Run& last = shard.back();
    const Index gap = run.first - (last.first + (last.count - 1) * last.stride);
    const bool in_step =
        (last.count == 1 || last.stride == gap) && (run.count == 1 || run.stride == gap);
    if (gap > 0 && in_step) {
      last.stride = gap;
      last.count += run.count;
      return;
    }
  }
  shard.push_back(run);
}

}  // namespace

CacheLayout::CacheLayout(Index sequences, int ranks) : ranks_(ranks) {
  if (ranks < 1 || sequences < 1) {
    throw InputError(fmt::format("a cache of {} sequences on {} ranks; expected at least 1 of each",
                                 sequences, ranks));
  }
  lengths_.resize(static_cast<std::size_t>(sequences));
  held_.assign(static_cast<std::size_t>(ranks), std::vector<Shard>(lengths_.size()));
}

CacheChunk CacheLayout::next(std::span<const Index> counts,
                             std::optional<Sharding> sharding) const {
  if (counts.size() != lengths_.size()) {
    throw InputError(
        fmt::format("counts of {} sequences; the cache has {}", counts.size(), lengths_.size()));
  }
  constexpr Index longest = Index{1} << 31;
  std::vector<Index> offsets{0};
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] < 0 || counts[i] > longest - lengths_[i]) {
      throw InputError(fmt::format(
          "{} new tokens of sequence {}, which has {}; expected at least 0 and at most 2^31 in all",
          counts[i], i, lengths_[i]));
    }
    offsets.push_back(offsets.back() + counts[i]);
  }
  CacheChunk chunk;
  if (sharding) {
    chunk.shards = make_shards(*sharding, offsets, ranks_);
    for (auto& shard : chunk.shards) {
      for (auto& run : shard) run.first += length(run.document);
    }
    return chunk;
  }
  chunk.shards.resize(static_cast<std::size_t>(ranks_));
  for (Index sequence = 0; sequence < sequences(); ++sequence) {
    const Index begin = length(sequence);
    const Index count = counts[static_cast<std::size_t>(sequence)];
    for (Index i = 0; i < std::min<Index>(count, ranks_); ++i) {
      const Index rank = (begin + i + sequence) % ranks_;
      chunk.shards[static_cast<std::size_t>(rank)].push_back(
          {.document = sequence,
           .first = begin + i,
           .stride = ranks_,
           .count = ceil_div(count - i, ranks_)});
    }
  }
  return chunk;
}

void CacheLayout::append(const CacheChunk& chunk) {
  if (chunk.shards.size() != static_cast<std::size_t>(ranks_)) {
    throw InputError(
        fmt::format("a chunk for {} ranks; the cache is on {}", chunk.shards.size(), ranks_));
  }
  std::vector<std::vector<bool>> seen(lengths_.size());
  std::vector<Index> counts(lengths_.size());
  for (const auto& shard : chunk.shards) {
    for (const auto& run : shard) {
      if (run.document < 0 || run.document >= sequences()) {
        throw InputError(fmt::format("a chunk of sequence {}; the cache has sequences 0 to {}",
                                     run.document, sequences() - 1));
      }
      if (run.count < 1 || run.stride < 1) {
        throw InputError("a chunk with an empty run; expected a count and a stride of at least 1");
      }
      counts[static_cast<std::size_t>(run.document)] += run.count;
    }
  }
  for (std::size_t i = 0; i < seen.size(); ++i) seen[i].resize(static_cast<std::size_t>(counts[i]));
  for (const auto& shard : chunk.shards) {
    for (const auto& run : shard) {
      auto& of_sequence = seen[static_cast<std::size_t>(run.document)];
      for (Index i = 0; i < run.count; ++i) {
        const Index at = run.first + i * run.stride - length(run.document);
        if (at < 0 || at >= static_cast<Index>(of_sequence.size()) ||
            of_sequence[static_cast<std::size_t>(at)]) {
          throw InputError(fmt::format(
              "a chunk that does not go on where sequence {} ends, at {}; expected every position "
              "from there on once",
              run.document, length(run.document)));
        }
        of_sequence[static_cast<std::size_t>(at)] = true;
      }
    }
  }
  for (std::size_t rank = 0; rank < chunk.shards.size(); ++rank) {
    for (const auto& run : chunk.shards[rank]) {
      append_run(held_[rank][static_cast<std::size_t>(run.document)], run);
    }
  }
  for (std::size_t i = 0; i < lengths_.size(); ++i) lengths_[i] += counts[i];
}

}  // namespace annulus
