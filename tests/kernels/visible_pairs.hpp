#pragma once
// The pairs of rows that blocks show.

#include <map>
#include <utility>
#include <vector>

#include "annulus/plan/block.hpp"

namespace annulus::test {

/// How often each pair (query row, key row) is there.
using Pairs = std::map<std::pair<Index, Index>, int>;

[[nodiscard]] inline Pairs visible_pairs(const std::vector<Block>& blocks) {
  Pairs pairs;
  for (const auto& block : blocks) {
    for (Index i = 0; i < block.queries.count; ++i) {
      const auto visible = block.visible(i);
      for (Index j = visible.begin; j < visible.end; ++j) {
        ++pairs[{block.queries.row + i, block.keys.row + j}];
      }
    }
  }
  return pairs;
}

}  // namespace annulus::test
