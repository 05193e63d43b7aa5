#pragma once
// Which ranks see which rows of keys, without asking each of them.

#include <span>
#include <vector>

#include "annulus/attention/problem.hpp"
#include "plan/shard_map.hpp"

namespace annulus {

/// Borrows what it is made of. Answers may say too much, never too little, and are the same on all
/// ranks.
class Needs {
 public:
  Needs(const Problem& problem, const ShardMap& queries) : problem_(problem), queries_(queries) {}

  /// Ranks that see some of these rows of `keys`: ascending, disjoint ranges, until the next call.
  [[nodiscard]] std::span<const Interval> viewers(const Shard& keys, Interval rows);

  /// Ranks whose keys, as `keys` has them, some of `queries` see: ascending, disjoint ranges.
  [[nodiscard]] std::vector<Interval> owners_seen(const Shard& queries, const ShardMap& keys) const;

  /// Of these rows of `keys`, those that some of `ranks`, a list of ranges, see: ascending and
  /// disjoint, until the next call.
  [[nodiscard]] std::span<const Interval> rows_seen(const Shard& keys, Interval rows,
                                                    std::span<const Interval> ranks);

 private:
  /// The queries of the document, from its start, that see keys at some of `positions`.
  [[nodiscard]] Interval queries_that_see(Index document, Interval positions) const;
  void add_viewers(const Run& keys, std::vector<Interval>& ranks) const;

  const Problem& problem_;
  const ShardMap& queries_;
  std::vector<Interval> viewers_;
  std::vector<Interval> seen_;
  std::vector<Interval> positions_;
};

}  // namespace annulus
