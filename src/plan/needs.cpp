#include "plan/needs.hpp"

#include <algorithm>

#include "plan/intervals.hpp"

namespace annulus {
namespace {

Interval positions_of(const Run& run) {
  return {run.first, run.first + (run.count - 1) * run.stride + 1};
}

}  // namespace

Interval Needs::queries_that_see(Index document, Interval positions) const {
  const auto& documents = problem_.documents;
  const Index shift = documents.alignment(document);
  const auto& mask = problem_.mask;
  return {std::max<Index>(positions.begin - mask.right() - shift, 0),
          std::min(positions.end + mask.left() - shift, documents.query_length(document))};
}

void Needs::add_viewers(const Run& keys, std::vector<Interval>& ranks) const {
  const auto add = [&](Interval positions) {
    const auto queries = queries_that_see(keys.document, positions);
    if (!queries.empty()) queries_.add_holders(keys.document, queries, ranks);
  };
  const auto at = [&](Index key) {
    const Index position = keys.first + key * keys.stride;
    return Interval{position, position + 1};
  };
  const auto& mask = problem_.mask;
  const bool apart = mask.left() < keys.stride && mask.right() < keys.stride - mask.left();
  if (!apart || keys.count == 1 || queries_.period() != keys.stride) {
    add(positions_of(keys));
    return;
  }
  // What sees one key repeats from key to key, cut off at the ends of the document: the first key
  // whose queries are all there, and the ones beside it.
  const Index from = mask.right() + problem_.documents.alignment(keys.document) - keys.first;
  const Index whole = std::max<Index>(ceil_div(from, keys.stride), 0);
  for (const Index key : {whole - 1, whole, whole + 1}) {
    if (key >= 0 && key < keys.count) add(at(key));
  }
}

std::span<const Interval> Needs::viewers(const Shard& keys, Interval rows) {
  std::size_t many = 64;
  auto& ranks = viewers_;
  ranks.clear();
  const Interval all{0, queries_.ranks()};
  Index row = 0;
  for (const auto& run : keys) {
    const auto part = run.slice(rows.begin - row, rows.end - row);
    row += run.count;
    if (part.count == 0) continue;
    add_viewers(part, ranks);
    if (ranks.empty()) continue;
    if (ranks.size() > many || ranks.back() == all) {
      unite(ranks);
      many = std::max(many, 2 * ranks.size());
    }
    if (ranks.front() == all) break;
  }
  unite(ranks);
  return ranks;
}

std::vector<Interval> Needs::owners_seen(const Shard& queries, const ShardMap& keys) const {
  const auto& documents = problem_.documents;
  std::vector<Interval> ranks;
  for (const auto& run : queries) {
    const auto [begin, end] = positions_of(run);
    const Index shift = documents.alignment(run.document);
    const Interval seen{
        std::max<Index>(begin + shift - problem_.mask.left(), 0),
        std::min(end + shift + problem_.mask.right(), documents.key_length(run.document))};
    if (!seen.empty()) keys.add_holders(run.document, seen, ranks);
  }
  unite(ranks);
  return ranks;
}

std::span<const Interval> Needs::rows_seen(const Shard& keys, Interval rows,
                                           std::span<const Interval> ranks) {
  seen_.clear();
  // Of a shard of many parts, two intervals hardly ever cover less than all.
  constexpr std::size_t most_runs = 16;
  if (keys.size() > most_runs) {
    seen_.push_back(rows);
    return seen_;
  }
  Index row = 0;
  for (const auto& run : keys) {
    positions_.clear();
    for (const auto& range : ranks) queries_.add_positions(run.document, range, positions_);
    const Index shift = problem_.documents.alignment(run.document);
    for (const auto& [begin, end] : positions_) {
      const Index from = begin + shift - problem_.mask.left() - run.first;
      const Index to = end - 1 + shift + problem_.mask.right() - run.first;
      const Index first = row + std::max<Index>(ceil_div(from, run.stride), 0);
      const Index last = row + std::min(floor_div(to, run.stride), run.count - 1);
      const Interval seen{std::max(first, rows.begin), std::min(last + 1, rows.end)};
      if (!seen.empty()) seen_.push_back(seen);
    }
    row += run.count;
  }
  unite(seen_);
  return seen_;
}

}  // namespace annulus
