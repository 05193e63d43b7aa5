// Tiles in parts, against every pair of rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "kernels/cuda/tile_pairs.hpp"
#include "kernels/cuda/tile_parts.hpp"

namespace annulus::test {
namespace {

namespace gpu = kernels::gpu;

constexpr int tile_rows = 4;
constexpr int step_rows = 8;

/// Two runs of queries, the second of which meets two runs of keys.
std::vector<Block> blocks_of(const Mask& mask) {
  const PlacedRows queries{.row = 5, .position = 60, .stride = 3, .count = 7};
  return {{.queries = {.row = 0, .position = 150, .count = 2},
           .keys = {.row = 0, .position = 0, .count = 200},
           .mask = mask},
          {.queries = queries, .keys = {.row = 0, .position = 0, .count = 90}, .mask = mask},
          {.queries = queries,
           .keys = {.row = 90, .position = 90, .stride = 2, .count = 33},
           .mask = mask}};
}

TEST(CudaTileParts, VisitEveryVisiblePairOnceAndKeepStatesApart) {
  for (const auto& mask : {Mask::full(), Mask::causal(), Mask::window(40), Mask::window(3, 2)}) {
    const auto blocks = blocks_of(mask);
    const auto tiles = gpu::query_tiles(blocks, tile_rows);
    for (const int parts : {2, 3, 5, 1000}) {
      const auto parted = gpu::part_tiles(tiles, parts, step_rows);
      EXPECT_EQ(pairs_of(parted.list, tile_rows), visible_pairs(blocks));
      std::set<int> states;
      std::size_t works = 0;
      for (const auto& tile : parted.tiles) {
        EXPECT_LE(tile.parts, parts);
        works += static_cast<std::size_t>(tile.parts);
      }
      EXPECT_EQ(works, parted.list.work.size());
      for (const auto& work : parted.list.work) {
        for (int i = 0; i < work.rows; ++i) EXPECT_TRUE(states.insert(work.state_row + i).second);
      }
      EXPECT_EQ(static_cast<int>(states.size()), parted.state_rows);
      EXPECT_EQ(*states.rbegin(), parted.state_rows - 1);
    }
  }
}

TEST(CudaTileParts, AreWhereTheirTilesSayInTheOrderOfTheirKeys) {
  const auto parted =
      gpu::part_tiles(gpu::query_tiles(blocks_of(Mask::full()), tile_rows), 3, step_rows);
  for (const auto& tile : parted.tiles) {
    int last_key = -1;
    for (int part = 0; part < tile.parts; ++part) {
      const auto work = std::ranges::find(parted.list.work, tile.state_row + part * tile.rows,
                                          &gpu::TileWork::state_row);
      ASSERT_NE(work, parted.list.work.end());
      EXPECT_EQ(work->row, tile.row);
      EXPECT_EQ(work->rows, tile.rows);
      for (int v = 0; v < work->visits; ++v) {
        const auto& visit = parted.list.visits[static_cast<std::size_t>(work->first_visit + v)];
        EXPECT_GT(visit.row + visit.seen.begin, last_key);
        last_key = visit.row + visit.seen.end - 1;
        // Where a part ends within a run, its last step is whole: columns that are not there would
        // be taken for keys that a row sees.
        const bool ends_run = visit.seen.end == visit.visible(tile.rows - 1).end;
        EXPECT_TRUE(ends_run || visit.seen.size() % step_rows == 0);
      }
    }
  }
}

TEST(CudaTileParts, FillADeviceAndNoMore) {
  const Block one{.queries = {.count = 1}, .keys = {.count = 80000}};
  const auto tiles = gpu::query_tiles(std::vector{one}, tile_rows);
  EXPECT_EQ(gpu::parts_to_fill(tiles, 8, 264, step_rows), 33);
  EXPECT_EQ(gpu::parts_to_fill(tiles, 200, 264, step_rows), 1);
  EXPECT_EQ(gpu::parts_to_fill(tiles, 1000, 264, step_rows), 1);
  const Block short_one{.queries = {.count = 1}, .keys = {.count = 10 * step_rows}};
  EXPECT_EQ(
      gpu::parts_to_fill(gpu::query_tiles(std::vector{short_one}, tile_rows), 1, 264, step_rows),
      2);
  EXPECT_EQ(gpu::parts_to_fill({}, 1, 264, step_rows), 1);
}

}  // namespace
}  // namespace annulus::test
