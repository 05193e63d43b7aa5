#include "annulus/plan/block.hpp"

#include <algorithm>

namespace annulus {
namespace {

/// Sum over i in [0, n) of floor((a i + b) / m), for n >= 0, m > 0, a >= 0, b >= 0, in O(log m)
/// steps, by exchanging the roles of the axes as in Euclid's algorithm.
Index floor_sum(Index n, Index m, Index a, Index b) {
  Index sum = 0;
  while (n > 0) {
    sum += n * (n - 1) / 2 * (a / m) + n * (b / m);
    a %= m;
    b %= m;
    const Index top = a * n + b;
    if (top < m) break;
    n = top / m;
    b = top % m;
    std::swap(m, a);
  }
  return sum;
}

/// Sum over queries i of the number of keys with index j, 0 <= j < keys, and
/// j * key_stride <= start + i * query_stride: clamp(floor(...) + 1, 0, keys).
Index keys_below(Index start, Index query_stride, Index queries, Index key_stride, Index keys) {
  if (keys <= 0 || queries <= 0) return 0;
  // Queries before `first` see none of them, queries from `all` on see all.
  const Index first = std::clamp<Index>(ceil_div(-start, query_stride), 0, queries);
  const Index all =
      std::clamp<Index>(ceil_div((keys - 1) * key_stride - start, query_stride), first, queries);
  const Index some = all - first;
  return floor_sum(some, key_stride, query_stride, some > 0 ? start + first * query_stride : 0) +
         some + (queries - all) * keys;
}

}  // namespace

Index visible_area(const Block& block) {
  // Most blocks are hidden or whole, by where their ends are.
  const auto last = [](const PlacedRows& rows) { return rows.position_of(rows.count - 1); };
  const Index least = block.keys.position - last(block.queries);
  const Index most = last(block.keys) - block.queries.position;
  if (most < -block.mask.left() || least > block.mask.right()) return 0;
  if (least >= -block.mask.left() && most <= block.mask.right()) {
    return block.queries.count * block.keys.count;
  }
  const auto below = [&](Index reach) {
    return keys_below(block.queries.position - block.keys.position + reach, block.queries.stride,
                      block.queries.count, block.keys.stride, block.keys.count);
  };
  // Keys up to +right, less those before -left.
  return below(block.mask.right()) - below(-block.mask.left() - 1);
}

namespace {

/// Calls visit(block) for the blocks between two shards in which some pair is visible, until it
/// returns false.
template <class Visit>
void for_each_visible_block(const Problem& problem, const Shard& queries, const Shard& keys,
                            Visit visit) {
  // Both shards are ordered by document, so the keys of a document are one range of runs, and the
  // range only moves on.
  std::size_t begin = 0;
  Index begin_row = 0;
  Index query_row = 0;
  for (const auto& query_run : queries) {
    while (begin < keys.size() && keys[begin].document < query_run.document) {
      begin_row += keys[begin++].count;
    }
    Index key_row = begin_row;
    for (auto at = begin; at < keys.size() && keys[at].document == query_run.document; ++at) {
      const Block block{
          .queries = {.row = query_row,
                      .position = query_run.first + problem.documents.alignment(query_run.document),
                      .stride = query_run.stride,
                      .count = query_run.count},
          .keys = {.row = key_row,
                   .position = keys[at].first,
                   .stride = keys[at].stride,
                   .count = keys[at].count},
          .mask = problem.mask};
      if (visible_area(block) > 0 && !visit(block)) return;
      key_row += keys[at].count;
    }
    query_row += query_run.count;
  }
}

}  // namespace

std::vector<Block> visible_blocks(const Problem& problem, const Shard& queries, const Shard& keys) {
  std::vector<Block> blocks;
  for_each_visible_block(problem, queries, keys, [&](const Block& block) {
    blocks.push_back(block);
    return true;
  });
  return blocks;
}

Index visible_area(const Problem& problem, const Run& queries) {
  const Shard keys{{.document = queries.document,
                    .first = 0,
                    .count = problem.documents.key_length(queries.document)}};
  Index area = 0;
  if (keys.front().count == 0) return area;
  for (const auto& block : visible_blocks(problem, {queries}, keys)) area += visible_area(block);
  return area;
}

Index visible_area(const Problem& problem) {
  const auto& documents = problem.documents;
  Index area = 0;
  for (Index document = 0; document < documents.count(); ++document) {
    const Run queries{.document = document, .count = documents.query_length(document)};
    if (queries.count > 0) area += visible_area(problem, queries);
  }
  return area;
}

bool sees_some(const Problem& problem, const Shard& queries, const Shard& keys) {
  bool some = false;
  for_each_visible_block(problem, queries, keys, [&](const Block&) {
    some = true;
    return false;
  });
  return some;
}

}  // namespace annulus
