#pragma once
// A run: rows of one document whose positions are an arithmetic progression.

#include <algorithm>
#include <span>
#include <vector>

#include "annulus/base/index.hpp"

namespace annulus {

/// Rows first, first + stride, ... (count of them) of `document`, counted from its start. Strides
/// are at least 1.
struct Run {
  Index document = 0;
  Index first = 0;
  Index stride = 1;
  Index count = 0;

  /// Those of its rows that are among `begin` to `end` - 1, counted from its first.
  [[nodiscard]] Run slice(Index begin, Index end) const {
    const Index from = std::clamp<Index>(begin, 0, count);
    const Index rows = std::clamp<Index>(end, from, count) - from;
    return {.document = document, .first = first + from * stride, .stride = stride, .count = rows};
  }
  friend bool operator==(const Run&, const Run&) = default;
};

/// What one rank holds, in the order in which it holds it: its local rows are its runs end to end,
/// ordered by document. No run is empty.
using Shard = std::vector<Run>;

/// Rows of a shard.
[[nodiscard]] Index row_count(const Shard& shard);

/// Rows [begin, end) of a shard, counted in its own order.
[[nodiscard]] Shard slice(const Shard& shard, Index begin, Index end);

/// The rows of a shard in the packed sequence, in the order in which the shard holds them.
/// `offsets` are the D + 1 cumulated lengths of the documents.
[[nodiscard]] std::vector<Index> packed_rows(const Shard& shard, std::span<const Index> offsets);

}  // namespace annulus
