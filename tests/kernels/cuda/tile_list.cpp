// Tiles and what they meet, against every pair of rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include "annulus/base/error.hpp"
#include "kernels/cuda/launcher.hpp"
#include "kernels/cuda/tile_list.hpp"
#include "kernels/cuda/tile_pairs.hpp"

namespace annulus::test {
namespace {

namespace gpu = kernels::gpu;

/// That no row is in two tiles.
void expect_tiles_apart(const gpu::TileList& list) {
  std::map<Index, int> tiles_of_row;
  for (const auto& work : list.work) {
    EXPECT_EQ(work.state_row, work.row);
    for (Index i = 0; i < work.rows; ++i) EXPECT_EQ(++tiles_of_row[work.row + i], 1);
  }
}

/// The pairs of rows that stand at the same position, found the same way.
Pairs self_pairs_of(const gpu::TileList& list) {
  Pairs pairs;
  for (const auto& work : list.work) {
    for (int v = 0; v < work.visits; ++v) {
      const auto& visit = list.visits[static_cast<std::size_t>(work.first_visit + v)];
      for (int i = 0; i < work.rows; ++i) {
        const int self = visit.self_key(i);
        if (self >= visit.seen.begin && self < visit.seen.end) {
          ++pairs[{work.row + i, visit.row + self}];
        }
      }
    }
  }
  return pairs;
}

Pairs self_pairs(const std::vector<Block>& blocks) {
  Pairs pairs;
  for (const auto& block : blocks) {
    for (Index i = 0; i < block.queries.count; ++i) {
      const Index self = block.self_key(i);
      if (self >= 0) ++pairs[{block.queries.row + i, block.keys.row + self}];
    }
  }
  return pairs;
}

void expect_all_pairs_once(const std::vector<Block>& blocks) {
  const auto expected = visible_pairs(blocks);
  Pairs exchanged;
  for (const auto& [pair, times] : expected) exchanged[{pair.second, pair.first}] = times;
  for (const int tile_rows : {1, 4, 16}) {
    const auto tiles = gpu::query_tiles(blocks, tile_rows);
    expect_tiles_apart(tiles);
    EXPECT_EQ(pairs_of(tiles, tile_rows), expected);
    EXPECT_EQ(self_pairs_of(tiles), self_pairs(blocks));
    const auto of_keys = gpu::key_tiles(blocks, tile_rows);
    expect_tiles_apart(of_keys);
    EXPECT_EQ(pairs_of(of_keys, tile_rows), exchanged);
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

/// That steps are the same rows for all tiles, and turns count the additions to each of them.
void expect_turns(const gpu::TurnTiles& tiles, int step_rows) {
  std::vector<int> turns(tiles.steps.size());
  for (const auto& work : tiles.list.work) {
    for (int v = 0; v < work.visits; ++v) {
      const auto& visit = tiles.list.visits[static_cast<std::size_t>(work.first_visit + v)];
      for (int row = visit.seen.begin; row < visit.seen.end; row += step_rows) {
        const auto step =
            static_cast<std::size_t>(visit.step + (row - visit.seen.begin) / step_rows);
        ASSERT_LT(step, tiles.steps.size());
        EXPECT_EQ(tiles.steps[step].row, visit.row + row);
        EXPECT_EQ(tiles.steps[step].rows, std::min(step_rows, visit.count - row));
        EXPECT_EQ(visit.turns, turns[step]++);
      }
      EXPECT_TRUE(visit.whole.empty() ||
                  (visit.whole.begin >= visit.seen.begin && visit.whole.end <= visit.seen.end));
    }
  }
  EXPECT_EQ(tiles.most_turns, std::ranges::max(turns));
}

void expect_turns(const std::vector<Block>& blocks) {
  Pairs expected;
  for (const auto& [pair, times] : visible_pairs(blocks)) {
    expected[{pair.second, pair.first}] = times;
  }
  for (const int tile_rows : {4, 16}) {
    for (const int step_rows : {4, 8}) {
      const auto tiles = gpu::turn_tiles(blocks, tile_rows, step_rows);
      ASSERT_EQ(tiles.has_value(), !expected.empty());
      if (!tiles.has_value()) continue;
      expect_tiles_apart(tiles->list);
      EXPECT_EQ(pairs_of(tiles->list, tile_rows), expected);
      expect_turns(*tiles, step_rows);
    }
  }
}

TEST(CudaTurnTiles, MeetTheSameStepsInTurns) {
  for (const auto& mask :
       {Mask::full(), Mask::causal(), Mask::window(0), Mask::window(13, 2), Mask::window(0, 9)}) {
    for (const Index stride : {1, 3, 7, 40}) {
      for (const Index start : {-60, 0, 5, 200}) {
        expect_turns({{.queries = {.row = 3, .position = 60 + start, .stride = stride, .count = 43},
                       .keys = {.row = 11, .position = 60, .stride = 1, .count = 61},
                       .mask = mask}});
        expect_turns({{.queries = {.row = 3, .position = 60 + start, .stride = 1, .count = 43},
                       .keys = {.row = 11, .position = 60, .stride = stride, .count = 61},
                       .mask = mask}});
      }
    }
  }
}

TEST(CudaTurnTiles, HaveRunsThatSeveralBlocksShare) {
  const PlacedRows keys{.row = 0, .position = 0, .count = 9};
  const PlacedRows more_keys{.row = 9, .position = 9, .count = 30};
  const PlacedRows queries{.row = 5, .position = 10, .count = 20};
  const PlacedRows more_queries{.row = 25, .position = 0, .count = 31};
  expect_turns({{.queries = queries, .keys = keys},
                {.queries = queries, .keys = more_keys, .mask = Mask::causal()},
                {.queries = more_queries, .keys = more_keys, .mask = Mask::window(7)},
                {.queries = more_queries, .keys = keys}});
}

TEST(CudaTurnTiles, AreNotThereWhereStepsAreNotTheSameOrHardlyHaveRows) {
  const PlacedRows keys{.row = 0, .position = 0, .count = 9};
  const auto of = [&](std::vector<PlacedRows> runs) {
    std::vector<Block> blocks;
    for (const auto& run : runs) blocks.push_back({.queries = run, .keys = keys});
    return gpu::turn_tiles(blocks, 16, 8).has_value();
  };
  const auto run = [](Index row, Index count) { return PlacedRows{.row = row, .count = count}; };
  EXPECT_TRUE(of({run(5, 20), run(5, 20), run(25, 3)}));
  EXPECT_FALSE(of({run(5, 20), run(5, 21)}));
  EXPECT_FALSE(of({run(5, 20), run(24, 3)}));
  EXPECT_FALSE(of({run(5, 20), run(7, 2)}));
  EXPECT_FALSE(of({}));
  std::vector<PlacedRows> short_runs;
  for (Index row = 0; row < 1000; ++row) short_runs.push_back(run(row, 1));
  EXPECT_FALSE(of(short_runs));
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

// The ends of what 32 bits can say: positions near 2^40, masks without end, large strides.
TEST(CudaTileList, CountsIn32BitsWhateverThePositions) {
  constexpr Index far = Index{1} << 40;
  for (const auto& mask : {Mask::full(), Mask::causal(), Mask::window(5, 3)}) {
    for (const Index stride : {Index{1}, Index{3}, Index{1} << 21}) {
      for (const Index shift : {-far, -stride, Index{0}, 2 * stride, far}) {
        expect_all_pairs_once(
            {{.queries = {.row = 0, .position = far + shift, .stride = stride, .count = 17},
              .keys = {.row = 0, .position = far, .stride = stride, .count = 19},
              .mask = mask}});
      }
    }
  }
  const Block too_long{.queries = {.count = (Index{1} << 29) + 1}, .keys = {.count = 1}};
  EXPECT_THROW(static_cast<void>(gpu::query_tiles(std::vector{too_long}, 128)), Error);
  const Block too_wide{.queries = {.stride = (Index{1} << 21) + 1, .count = 1},
                       .keys = {.count = 1}};
  EXPECT_THROW(static_cast<void>(gpu::query_tiles(std::vector{too_wide}, 128)), Error);
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

// What decides whether sums keep what rounding took from them: the longest tile, in whole steps. Of
// 100 keys in tiles of 40, the first meets all 70 queries of a causal block, and each document's
// queries are steps of their own.
TEST(CudaTileList, KnowsTheMostRowsThatStreamPastATile) {
  const auto block = [](Index queries, Index keys, const Mask& mask, Index row = 0) {
    return Block{.queries = {.row = row, .position = 0, .stride = 1, .count = queries},
                 .keys = {.row = 0, .position = 0, .stride = 1, .count = keys},
                 .mask = mask};
  };
  const std::vector<Block> one{block(70, 100, Mask::causal())};
  EXPECT_EQ(gpu::most_streaming_rows(gpu::key_tiles(one, 40), 1), 70);
  EXPECT_EQ(gpu::most_streaming_rows(gpu::key_tiles(one, 40), 64), 128);
  EXPECT_EQ(gpu::most_streaming_rows(gpu::query_tiles(one, 40), 1), 70);
  const std::vector<Block> two{block(70, 100, Mask::full()), block(3, 100, Mask::full(), 70)};
  EXPECT_EQ(gpu::most_streaming_rows(gpu::key_tiles(two, 40), 1), 73);
  EXPECT_EQ(gpu::most_streaming_rows(gpu::key_tiles(two, 40), 64), 192);
  EXPECT_EQ(gpu::most_streaming_rows({}, 64), 0);
}

TEST(CudaKernelChoice, ChecksArgumentsBeforeAKernelStarts) {
  const auto choice = gpu::choose_kernel(DataType::bfloat16, 40, 64);
  alignas(16) static const std::array<BFloat16, 64> element{};
  const gpu::InputRows q{.data = element.data(), .row_stride = 80, .head_stride = 40, .dim = 40};
  const gpu::InputRows v{.data = element.data(), .row_stride = 64, .head_stride = 64, .dim = 64};
  const gpu::ForwardArguments right{.q = q, .k = q, .v = v, .heads = 4, .group = 2};
  EXPECT_NO_THROW(gpu::check_arguments(choice, right));
  const auto expect_refused = [&](auto change) {
    auto wrong = right;
    change(wrong);
    EXPECT_THROW(gpu::check_arguments(choice, wrong), Error);
    gpu::GradientArguments gradients{.q = wrong.q,
                                     .k = wrong.k,
                                     .v = wrong.v,
                                     .dout = wrong.v,
                                     .heads = wrong.heads,
                                     .group = wrong.group};
    EXPECT_THROW(gpu::check_arguments(choice, gradients), Error);
  };
  expect_refused([](auto& a) { a.k.data = &element[1]; });
  expect_refused([](auto& a) { a.q.row_stride = 84; });
  expect_refused([](auto& a) { a.v.head_stride = 68; });
  expect_refused([](auto& a) { a.v.dim = 65; });
  expect_refused([](auto& a) { a.k.dim = 39; });
  expect_refused([](auto& a) { a.group = 3; });
  expect_refused([](auto& a) { a.group = 0; });
  auto with_statistics = choice;
  with_statistics.statistics = true;
  EXPECT_THROW(gpu::check_arguments(with_statistics, right), Error);
}

}  // namespace
}  // namespace annulus::test
