#pragma once
// The pairs of rows that lists of tiles visit.

#include <gtest/gtest.h>

#include "kernels/cuda/tile_list.hpp"
#include "kernels/visible_pairs.hpp"

namespace annulus::test {

/// What a kernel makes of a list: how often each pair (row, streaming row) is visited.
[[nodiscard]] inline Pairs pairs_of(const kernels::gpu::TileList& list, int tile_rows) {
  Pairs pairs;
  for (const auto& work : list.work) {
    EXPECT_LE(work.rows, tile_rows);
    EXPECT_GT(work.visits, 0);
    for (int v = 0; v < work.visits; ++v) {
      const auto& visit = list.visits[static_cast<std::size_t>(work.first_visit + v)];
      EXPECT_FALSE(visit.seen.empty());
      for (int i = 0; i < work.rows; ++i) {
        const auto visible = visit.visible(i);
        for (int j = visit.seen.begin; j < visit.seen.end; ++j) {
          const bool whole = visit.whole.begin <= j && j < visit.whole.end;
          const bool sees = visible.begin <= j && j < visible.end;
          EXPECT_TRUE(!whole || sees) << "whole is more than all rows see";
          if (sees) ++pairs[{work.row + i, visit.row + j}];
        }
        const int self = visit.self_key(i);
        EXPECT_TRUE(self < 0 || (visit.self.begin <= self && self < visit.self.end));
      }
    }
  }
  return pairs;
}

}  // namespace annulus::test
