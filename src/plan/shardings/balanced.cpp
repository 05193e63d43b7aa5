// Chunks of the packed rows dealt out so that rows and work are even.
//
// The packed rows are cut into chunks of equal length, as many for each rank, and dealt out: the
// largest chunk first, to the rank with the least work that still has room. Memory is that of n / P
// rows; of one causal document it makes zigzag. A rank gets the fewest chunks, from 1 in powers of
// 2, with which the mean work is at least 0.97 of the largest. Cuts that are near the start of a
// document move there, so that documents stay whole.
#include <algorithm>
#include <numeric>
#include <queue>
#include <utility>

#include "plan/shardings/shardings.hpp"

namespace annulus::shardings {
namespace {

/// Consecutive packed rows.
struct Chunk {
  Index begin;
  Index end;
  double work = 0;
};

/// Visits the parts of `chunk` that lie in one document each.
template <class Visit>
void for_each_run(const Chunk& chunk, std::span<const Index> offsets, Visit visit) {
  auto next = std::upper_bound(offsets.begin(), offsets.end(), chunk.begin);
  for (Index row = chunk.begin; row < chunk.end; ++next) {
    const Index stop = std::min(chunk.end, *next);
    if (stop > row) {
      visit(Run{
          .document = next - offsets.begin() - 1, .first = row - *(next - 1), .count = stop - row});
    }
    row = stop;
  }
}

/// Cut number `cut` of `chunks`: where it divides the rows evenly, or the start of a document that
/// is at most a sixteenth of a chunk away.
Index cut_at(Index cut, Index chunks, std::span<const Index> offsets) {
  const Index rows = offsets.back();
  const Index even = rows * cut / chunks;
  const auto after = std::lower_bound(offsets.begin(), offsets.end(), even);
  Index nearest = *after;
  if (after != offsets.begin() && even - *(after - 1) < nearest - even) nearest = *(after - 1);
  return std::abs(nearest - even) <= rows / chunks / 16 ? nearest : even;
}

std::vector<Chunk> cut(Index chunks, std::span<const Index> offsets, const RowWork& work) {
  std::vector<Chunk> all;
  for (Index i = 0; i < chunks; ++i) {
    Chunk chunk{cut_at(i, chunks, offsets), cut_at(i + 1, chunks, offsets)};
    for_each_run(chunk, offsets, [&](const Run& run) {
      chunk.work += static_cast<double>(work ? work(run) : run.count);
    });
    all.push_back(chunk);
  }
  return all;
}

struct Deal {
  std::vector<std::vector<std::size_t>> chunks_of;  ///< of each rank, ascending
  double balance = 1;                               ///< mean over ranks of work / largest
};

/// Deals chunks, `each` to every rank.
Deal deal(const std::vector<Chunk>& chunks, int ranks, std::size_t each) {
  std::vector<std::size_t> order(chunks.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(
      order, [&](std::size_t a, std::size_t b) { return chunks[a].work > chunks[b].work; });
  Deal result{.chunks_of = std::vector<std::vector<std::size_t>>(static_cast<std::size_t>(ranks))};
  // Ranks with room, the one with the least work first.
  using Loaded = std::pair<double, std::size_t>;
  std::priority_queue<Loaded, std::vector<Loaded>, std::greater<>> least;
  for (std::size_t rank = 0; rank < result.chunks_of.size(); ++rank) least.emplace(0.0, rank);
  std::vector<double> load(result.chunks_of.size());
  for (const std::size_t chunk : order) {
    const std::size_t rank = least.top().second;
    least.pop();
    result.chunks_of[rank].push_back(chunk);
    load[rank] += chunks[chunk].work;
    if (result.chunks_of[rank].size() < each) least.emplace(load[rank], rank);
  }
  const double largest = std::ranges::max(load);
  if (largest > 0) {
    result.balance = std::accumulate(load.begin(), load.end(), 0.0) / (largest * ranks);
  }
  // Ranks in the order of what they hold, so that neighbours in the ring hold neighbours.
  for (auto& held : result.chunks_of) std::ranges::sort(held);
  std::ranges::sort(result.chunks_of);
  return result;
}

std::vector<Shard> dealt_shards(std::span<const Index> offsets, int ranks, const RowWork& work) {
  constexpr double even_enough = 0.97;
  constexpr Index most_chunks = 32;  // of a rank
  constexpr Index fewest_rows = 64;  // of a chunk, from the third of a rank on
  std::vector<Chunk> chunks;
  Deal best{.chunks_of = {}, .balance = -1};
  for (Index each = 1; each <= most_chunks; each *= 2) {
    if (each > 2 && offsets.back() < fewest_rows * each * ranks) break;
    auto pieces = cut(each * ranks, offsets, work);
    auto dealt = deal(pieces, ranks, static_cast<std::size_t>(each));
    if (dealt.balance <= best.balance) continue;
    best = std::move(dealt);
    chunks = std::move(pieces);
    if (best.balance >= even_enough) break;
  }
  std::vector<Shard> shards;
  for (const auto& held : best.chunks_of) {
    Shard& shard = shards.emplace_back();
    for (const std::size_t chunk : held) {
      for_each_run(chunks[chunk], offsets, [&](const Run& run) {
        const bool goes_on = !shard.empty() && shard.back().document == run.document &&
                             shard.back().first + shard.back().count == run.first;
        if (goes_on) {
          shard.back().count += run.count;
        } else {
          shard.push_back(run);
        }
      });
    }
  }
  return shards;
}

/// Keeps a table: what is dealt follows no formula.
class Balanced final : public ShardMap {
 public:
  Balanced(std::span<const Index> offsets, int ranks, const RowWork& work)
      : ShardMap(offsets, ranks), shards_(dealt_shards(offsets, ranks, work)) {
    for (std::size_t rank = 0; rank < shards_.size(); ++rank) {
      for (const auto& run : shards_[rank]) parts_.push_back({run, static_cast<Index>(rank)});
    }
    std::ranges::sort(parts_, {}, [](const Part& part) {
      return std::pair{part.run.document, part.run.first};
    });
  }

  [[nodiscard]] Shard of(int rank) const override {
    return shards_[static_cast<std::size_t>(rank)];
  }

  void add_holders(Index document, Interval positions,
                   std::vector<Interval>& ranks_out) const override {
    const auto parts = parts_of(document);
    const auto end_of = [](const Part& part) { return part.run.first + part.run.count; };
    const auto begin = std::ranges::upper_bound(parts, positions.begin, {}, end_of);
    const auto end = std::ranges::lower_bound(begin, parts.end(), positions.end, {},
                                              [](const Part& part) { return part.run.first; });
    if (end - begin > many) {
      ranks_out.push_back({0, ranks()});
      return;
    }
    for (const auto& part : std::ranges::subrange(begin, end)) {
      ranks_out.push_back({part.rank, part.rank + 1});
    }
  }

  void add_positions(Index document, Interval held_by,
                     std::vector<Interval>& positions) const override {
    const auto parts = parts_of(document);
    if (std::ssize(parts) > many) {
      positions.push_back({0, length(document)});
      return;
    }
    for (const auto& [run, rank] : parts) {
      if (held_by.contains(rank)) positions.push_back({run.first, run.first + run.count});
    }
  }

 private:
  /// Parts that are not looked at one by one: answers may say too much.
  static constexpr std::ptrdiff_t many = 256;

  struct Part {
    Run run;
    Index rank;
  };

  [[nodiscard]] std::ranges::subrange<std::vector<Part>::const_iterator> parts_of(
      Index document) const {
    return std::ranges::equal_range(parts_, document, {},
                                    [](const Part& part) { return part.run.document; });
  }

  std::vector<Shard> shards_;
  std::vector<Part> parts_;  // by document and position
};

}  // namespace

std::shared_ptr<const ShardMap> balanced(std::span<const Index> offsets, int ranks,
                                         const RowWork& work) {
  return std::make_shared<Balanced>(offsets, ranks, work);
}

}  // namespace annulus::shardings
