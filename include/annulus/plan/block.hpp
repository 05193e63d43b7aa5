#pragma once
// A pair of runs, as a kernel sees it. Nothing below the plan knows of shards or documents.

#include <vector>

#include "annulus/attention/mask.hpp"
#include "annulus/attention/problem.hpp"
#include "annulus/base/index.hpp"
#include "annulus/plan/run.hpp"

namespace annulus {

/// Local rows row, row + 1, ... of a shard that stand at key-coordinate positions position,
/// position + stride, ... of one document.
struct PlacedRows {
  Index row = 0;
  Index position = 0;
  Index stride = 1;
  Index count = 0;

  [[nodiscard]] constexpr Index position_of(Index i) const { return position + i * stride; }
  friend constexpr bool operator==(const PlacedRows&, const PlacedRows&) = default;
};

/// Queries and keys of the same document, and the mask between them. For every query the visible
/// keys are one interval of key indices, and both its ends never fall from one query to the next.
struct Block {
  PlacedRows queries;
  PlacedRows keys;
  Mask mask = Mask::full();

  /// Keys, as indices in [0, keys.count), that query i in [0, queries.count) sees.
  [[nodiscard]] constexpr Interval visible(Index i) const {
    const Index from = queries.position_of(i) - keys.position;
    const Index begin = ceil_div(from - mask.left(), keys.stride);
    const Index end = floor_div(from + mask.right(), keys.stride) + 1;
    return {begin > 0 ? begin : 0, end < keys.count ? end : keys.count};
  }

  /// The key index that stands at the position of query i, or -1 where this block has none.
  [[nodiscard]] constexpr Index self_key(Index i) const {
    const Index from = queries.position_of(i) - keys.position;
    if (from < 0 || from % keys.stride != 0) return -1;
    const Index key = from / keys.stride;
    return key < keys.count ? key : -1;
  }

  friend constexpr bool operator==(const Block&, const Block&) = default;
};

/// Number of visible (query, key) pairs of a block, in O(log) time.
[[nodiscard]] Index visible_area(const Block& block);

/// Number of visible pairs between a run of queries and all keys of its document.
[[nodiscard]] Index visible_area(const Problem& problem, const Run& queries);
/// The same of the whole problem.
[[nodiscard]] Index visible_area(const Problem& problem);

/// The blocks between a shard of queries and a shard of keys in which some pair is visible.
[[nodiscard]] std::vector<Block> visible_blocks(const Problem& problem, const Shard& queries,
                                                const Shard& keys);

/// Whether there is any.
[[nodiscard]] bool sees_some(const Problem& problem, const Shard& queries, const Shard& keys);

}  // namespace annulus
