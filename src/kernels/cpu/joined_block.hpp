#pragma once
// Blocks side by side as one, so that what is packed or merged once for a block is so once for all.

#include <span>
#include <vector>

#include "annulus/plan/block.hpp"

namespace annulus::kernels {

/// Query rows one after the other, and the one interval of key rows that each of them sees. Both
/// its ends never fall from one query to the next.
struct JoinedBlock {
  Interval queries;
  Interval keys;                  ///< that hold all visible ones
  std::vector<Interval> visible;  ///< of each query, rows among `keys`; empty where it sees none
  std::vector<Index> self_key;    ///< of each query, see Block::self_key: a row, or -1

  /// What a query row sees.
  [[nodiscard]] Interval seen_by(Index row) const {
    return visible[static_cast<std::size_t>(row - queries.begin)];
  }
  /// Its own key row, or -1.
  [[nodiscard]] Index self_key_of(Index row) const {
    return self_key[static_cast<std::size_t>(row - queries.begin)];
  }
  /// Query rows that see some of the key rows `some`.
  [[nodiscard]] Interval queries_that_see(Interval some) const;
};

/// All pairs of `blocks`, which have none in common, in the order of their first key. The runs of a
/// shard follow one another in the order of their positions, so that what a query sees of them is
/// one interval of rows, and a shard of one document makes one block; blocks that do not fit
/// together stay apart.
[[nodiscard]] std::vector<JoinedBlock> join(std::span<const Block> blocks);

}  // namespace annulus::kernels
