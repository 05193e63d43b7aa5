// Tiles and what they meet, against every pair of rows.
#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

#include "annulus/base/error.hpp"
#include "kernels/cuda/launcher.hpp"
#include "kernels/cuda/tile_list.hpp"

namespace annulus::test {
namespace {

namespace gpu = kernels::gpu;

/// What a kernel makes of a list: how often each pair (row, streaming row) is visited.
std::map<std::pair<Index, Index>, int> pairs_of(const gpu::TileList& list, int tile_rows) {
  std::map<std::pair<Index, Index>, int> pairs;
  std::map<Index, int> tiles_of_row;
  for (const auto& work : list.work) {
    EXPECT_LE(work.rows, tile_rows);
    EXPECT_GT(work.visits, 0);
    for (Index i = 0; i < work.rows; ++i) EXPECT_EQ(++tiles_of_row[work.row + i], 1);
    for (int v = 0; v < work.visits; ++v) {
      const auto& visit = list.visits[static_cast<std::size_t>(work.first_visit + v)];
      EXPECT_EQ(visit.block.queries.row + visit.first, work.row);
      EXPECT_FALSE(visit.seen.empty());
      for (Index i = 0; i < work.rows; ++i) {
        const auto visible = visit.block.visible(visit.first + i);
        for (Index j = visit.seen.begin; j < visit.seen.end; ++j) {
          const bool whole = visit.whole.begin <= j && j < visit.whole.end;
          EXPECT_TRUE(!whole || visible.contains(j)) << "whole is more than all rows see";
          if (visible.contains(j)) ++pairs[{work.row + i, visit.block.keys.row + j}];
        }
        const Index self = visit.block.self_key(visit.first + i);
        EXPECT_TRUE(self < 0 || (visit.self.begin <= self && self < visit.self.end));
      }
    }
  }
  return pairs;
}

std::map<std::pair<Index, Index>, int> visible_pairs(const std::vector<Block>& blocks) {
  std::map<std::pair<Index, Index>, int> pairs;
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

void expect_all_pairs_once(const std::vector<Block>& blocks) {
  const auto expected = visible_pairs(blocks);
  std::map<std::pair<Index, Index>, int> exchanged;
  for (const auto& [pair, times] : expected) exchanged[{pair.second, pair.first}] = times;
  for (const int tile_rows : {1, 4, 16}) {
    EXPECT_EQ(pairs_of(gpu::query_tiles(blocks, tile_rows), tile_rows), expected);
    EXPECT_EQ(pairs_of(gpu::key_tiles(blocks, tile_rows), tile_rows), exchanged);
  }
}

TEST(CudaTileList, VisitsEveryVisiblePairOnce) {
  for (const auto& mask :
       {Mask::full(), Mask::causal(), Mask::window(0), Mask::window(3, 2), Mask::window(0, 9)}) {
    for (const Index query_stride : {1, 2, 7, 40}) {
      for (const Index key_stride : {1, 3, 7, 50}) {
        for (const Index start : {-60, 0, 5, 200}) {
          expect_all_pairs_once(
              {{.queries = {.row = 3, .position = 60 + start, .stride = query_stride, .count = 23},
                .keys = {.row = 11, .position = 60, .stride = key_stride, .count = 19},
                .mask = mask}});
        }
      }
    }
  }
}

// Runs of queries that several blocks share, in part or as a whole.
TEST(CudaTileList, GivesEveryRowToOneTile) {
  const PlacedRows keys{.row = 0, .position = 0, .count = 9};
  const PlacedRows more_keys{.row = 9, .position = 9, .count = 30};
  expect_all_pairs_once({{.queries = {.row = 5, .position = 10, .count = 20}, .keys = keys},
                         {.queries = {.row = 5, .position = 10, .count = 20}, .keys = more_keys},
                         {.queries = {.row = 11, .position = 3, .count = 31}, .keys = keys},
                         {.queries = {.row = 60, .position = 0, .count = 2},
                          .keys = more_keys,
                          .mask = Mask::causal()}});
}

TEST(CudaTileList, LeavesOutWhatNobodySees) {
  const Block hidden{.queries = {.row = 0, .position = 0, .count = 10},
                     .keys = {.row = 0, .position = 10, .count = 10},
                     .mask = Mask::causal()};
  EXPECT_TRUE(gpu::query_tiles(std::vector{hidden}, 4).work.empty());
  EXPECT_TRUE(gpu::key_tiles(std::vector{hidden}, 4).work.empty());
  // One key each, a thousand positions apart: three visits, not one across all keys.
  const Block apart{.queries = {.row = 0, .position = 0, .stride = 1000, .count = 3},
                    .keys = {.row = 0, .position = 0, .count = 3000},
                    .mask = Mask::window(0)};
  const auto list = gpu::query_tiles(std::vector{apart}, 16);
  ASSERT_EQ(list.visits.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const int at = 1000 * static_cast<int>(i);
    EXPECT_EQ(list.visits[i].seen, (gpu::RowRange{at, at + 1}));
  }
}

TEST(CudaTileList, PutsTheLongestFirst) {
  const Block causal{.queries = {.row = 0, .position = 0, .count = 64},
                     .keys = {.row = 0, .position = 0, .count = 64},
                     .mask = Mask::causal()};
  const auto queries = gpu::query_tiles(std::vector{causal}, 16);
  const auto keys = gpu::key_tiles(std::vector{causal}, 16);
  ASSERT_EQ(queries.work.size(), 4U);
  ASSERT_EQ(keys.work.size(), 4U);
  EXPECT_EQ(queries.work.front().row, 48);
  EXPECT_EQ(keys.work.front().row, 0);
}

TEST(CudaKernelChoice, TakesTheNextDimensionAndRefusesWhatItCannot) {
  EXPECT_EQ(gpu::choose_kernel(DataType::bfloat16, 1, 64).dim, 64);
  EXPECT_EQ(gpu::choose_kernel(DataType::float16, 65, 3).dim, 96);
  EXPECT_EQ(gpu::choose_kernel(DataType::float32, 64, 128).dim, 128);
  EXPECT_EQ(gpu::choose_kernel(DataType::float32, 129, 1).dim, 256);
  EXPECT_THROW(static_cast<void>(gpu::choose_kernel(DataType::float32, 257, 1)), InputError);
  EXPECT_THROW(static_cast<void>(gpu::choose_kernel(DataType::float64, 64, 64)), InputError);
}

}  // namespace
}  // namespace annulus::test
