#include "kernels/cuda/tile_list.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

#include "annulus/base/error.hpp"
#include "annulus/base/narrow.hpp"

namespace annulus::kernels::gpu {
namespace {

/// The same pairs with the roles of queries and keys exchanged.
Block transposed(const Block& block) {
  return {.queries = block.keys,
          .keys = block.queries,
          .mask = Mask::window(block.mask.right(), block.mask.left())};
}

// With these, line_limit plus the steps of a tile neither overflows nor comes back into a run.
constexpr Index most_rows = line_limit;
constexpr Index largest_stride = 1 << 21;
constexpr int most_tile_rows = 128;
static_assert(most_tile_rows * largest_stride < line_limit);

void check_width(const PlacedRows& run) {
  ensure(run.row >= 0 && run.count >= 0 && run.row + run.count <= most_rows && run.stride > 0 &&
             run.stride <= largest_stride,
         "the rows of a run on a device are counted in 32 bits");
}

/// `offset`: from the first streaming position, for the first row of the tile.
RowLine line_of(Index offset, Index stride) {
  return {.quotient =
              narrow<int>(std::clamp<Index>(floor_div(offset, stride), -line_limit, line_limit)),
          .remainder = narrow<int>(offset - floor_div(offset, stride) * stride)};
}

RowRange range_of(Index begin, Index end) {
  return {narrow<int>(begin), narrow<int>(std::max(begin, end))};
}

/// Streaming rows between the positions of the rows [first, last] of the tile's run.
RowRange self_range(const Block& block, Index first, Index last) {
  const auto offset = [&](Index i) { return block.queries.position_of(i) - block.keys.position; };
  const Index begin =
      std::clamp<Index>(ceil_div(offset(first), block.keys.stride), 0, block.keys.count);
  const Index end = floor_div(offset(last), block.keys.stride) + 1;
  return range_of(begin, std::min(end, block.keys.count));
}

Index begin_of_step(Index row, int step_rows) {
  return row - row % step_rows;
}

/// Adds what the rows [first, first + rows) of a block's run meet: one visit, or, where rows stand
/// so far apart that nobody sees what lies between, one for each stretch that somebody sees. They
/// begin at multiples of `step_rows`.
void add_visits(const Block& block, Index first, Index rows, int step_rows,
                std::vector<TileVisit>& visits) {
  const auto add = [&](Interval seen) {
    if (seen.empty()) return;
    seen.begin = begin_of_step(seen.begin, step_rows);
    const Index whole_begin = std::max(seen.begin, block.visible(first + rows - 1).begin);
    const Index whole_end = std::min(seen.end, block.visible(first).end);
    const Index position = block.queries.position_of(first) - block.keys.position;
    const Index stride = block.keys.stride;
    visits.push_back(
        {.row = narrow<int>(block.keys.row),
         .count = narrow<int>(block.keys.count),
         .seen = range_of(seen.begin, seen.end),
         .whole = whole_begin < whole_end ? range_of(whole_begin, whole_end) : RowRange{},
         .self = self_range(block, first, first + rows - 1),
         .stride = narrow<int>(stride),
         .step_quotient = narrow<int>(block.queries.stride / stride),
         .step_remainder = narrow<int>(block.queries.stride % stride),
         .before_first = line_of(position - block.mask.left() - 1, stride),
         .last = line_of(position + block.mask.right(), stride),
         .position = line_of(position, stride)});
  };
  const auto lowest = block.visible(first);
  const auto highest = block.visible(first + rows - 1);
  if (highest.begin <= lowest.end) {
    add({lowest.begin, highest.end});
    return;
  }
  Interval stretch{};
  for (Index i = first; i < first + rows; ++i) {
    const auto seen = block.visible(i);
    if (seen.empty()) continue;
    if (begin_of_step(seen.begin, step_rows) > stretch.end || stretch.empty()) {
      add(stretch);
      stretch = seen;
    }
    stretch.end = std::max(stretch.end, seen.end);
  }
  add(stretch);
}

/// The local rows at which some run begins or ends.
std::vector<Index> cuts_of(const std::vector<Block>& blocks) {
  std::vector<Index> cuts;
  for (const auto& block : blocks) {
    cuts.push_back(block.queries.row);
    cuts.push_back(block.queries.row + block.queries.count);
  }
  std::ranges::sort(cuts);
  cuts.erase(std::ranges::unique(cuts).begin(), cuts.end());
  return cuts;
}

/// For each pair of neighbouring cuts, the blocks whose run covers what is between.
std::vector<std::vector<std::size_t>> covers_of(const std::vector<Block>& blocks,
                                                const std::vector<Index>& cuts) {
  std::vector<std::vector<std::size_t>> covers(cuts.size());
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    const auto& run = blocks[b].queries;
    auto segment = static_cast<std::size_t>(std::ranges::lower_bound(cuts, run.row) - cuts.begin());
    for (; cuts[segment] < run.row + run.count; ++segment) covers[segment].push_back(b);
  }
  return covers;
}

/// Of one tile, in whole steps of `step_rows`.
Index streaming_rows(const TileList& list, const TileWork& work, int step_rows = 1) {
  const auto visits = std::span(list.visits)
                          .subspan(static_cast<std::size_t>(work.first_visit),
                                   static_cast<std::size_t>(work.visits));
  return std::transform_reduce(
      visits.begin(), visits.end(), Index{0}, std::plus<>(),
      [&](const TileVisit& visit) { return ceil_div(visit.seen.size(), step_rows) * step_rows; });
}

TileList tiles_of(const std::vector<Block>& blocks, int tile_rows, int step_rows = 1) {
  ensure(tile_rows >= 1 && tile_rows <= most_tile_rows, "tiles have between 1 and 128 rows");
  for (const auto& block : blocks) {
    check_width(block.queries);
    check_width(block.keys);
  }
  TileList list;
  const auto cuts = cuts_of(blocks);
  const auto covers = covers_of(blocks, cuts);
  for (std::size_t segment = 0; segment + 1 < cuts.size(); ++segment) {
    for (Index row = cuts[segment]; row < cuts[segment + 1]; row += tile_rows) {
      const Index rows = std::min<Index>(tile_rows, cuts[segment + 1] - row);
      const auto first_visit = list.visits.size();
      for (const auto b : covers[segment]) {
        add_visits(blocks[b], row - blocks[b].queries.row, rows, step_rows, list.visits);
      }
      if (list.visits.size() == first_visit) continue;
      list.work.push_back({.row = narrow<int>(row),
                           .state_row = narrow<int>(row),
                           .rows = narrow<int>(rows),
                           .first_visit = narrow<int>(first_visit),
                           .visits = narrow<int>(list.visits.size() - first_visit)});
    }
  }
  // The longest first, so that none is left over at the end.
  std::ranges::stable_sort(list.work, std::ranges::greater{},
                           [&](const TileWork& work) { return streaming_rows(list, work); });
  return list;
}

std::vector<Block> all_transposed(std::span<const Block> blocks) {
  std::vector<Block> exchanged;
  for (const auto& block : blocks) exchanged.push_back(transposed(block));
  return exchanged;
}

/// The runs of queries, by their first row; empty where two overlap and are not the same.
std::map<Index, Index> runs_of(std::span<const Block> blocks) {
  std::map<Index, Index> counts;
  for (const auto& block : blocks) {
    const auto [run, is_new] = counts.emplace(block.queries.row, block.queries.count);
    if (!is_new && run->second != block.queries.count) return {};
  }
  Index end = 0;
  for (const auto& [row, count] : counts) {
    if (row < end) return {};
    end = row + count;
  }
  return counts;
}

/// The steps of a run, the first of which has a number.
struct RunSteps {
  std::vector<StepRows> steps;
  std::map<int, int> first_of_run;  ///< by the first row
};

RunSteps steps_of(const std::map<Index, Index>& runs, int step_rows) {
  RunSteps all;
  for (const auto& [row, count] : runs) {
    all.first_of_run[narrow<int>(row)] = narrow<int>(std::ssize(all.steps));
    for (Index i = 0; i < count; i += step_rows) {
      all.steps.push_back(
          {narrow<int>(row + i), narrow<int>(std::min<Index>(step_rows, count - i))});
    }
  }
  return all;
}

/// A visit in parts whose steps have had as many additions each, which it adds one to.
void add_turns(const TileVisit& visit, int first_step, int step_rows, std::vector<int>& turns,
               std::vector<TileVisit>& visits) {
  const auto turns_at = [&](int row) -> int& {
    return turns[static_cast<std::size_t>(first_step + row / step_rows)];
  };
  for (int row = visit.seen.begin; row < visit.seen.end;) {
    auto part = visit;
    part.step = first_step + row / step_rows;
    part.turns = turns_at(row);
    part.seen.begin = row;
    for (; row < visit.seen.end && turns_at(row) == part.turns; row += step_rows) ++turns_at(row);
    part.seen.end = std::min(row, visit.seen.end);
    part.whole = {std::max(part.whole.begin, part.seen.begin),
                  std::min(part.whole.end, part.seen.end)};
    if (part.whole.empty()) part.whole = {};
    visits.push_back(part);
  }
}

}  // namespace

TileList query_tiles(std::span<const Block> blocks, int tile_rows) {
  return tiles_of({blocks.begin(), blocks.end()}, tile_rows);
}

Index most_streaming_rows(const TileList& list, int step_rows) {
  Index most = 0;
  for (const auto& work : list.work) most = std::max(most, streaming_rows(list, work, step_rows));
  return most;
}

TileList key_tiles(std::span<const Block> blocks, int tile_rows) {
  return tiles_of(all_transposed(blocks), tile_rows);
}

bool turns_pay(const TurnTiles& tiles, int key_heads, int group, int blocks_at_once,
               int step_rows) {
  constexpr Index hardly_any = 4;  // take as long as it takes to start another kernel
  Index steps = 0;                 // of all tiles
  for (const auto& work : tiles.list.work) {
    steps += streaming_rows(tiles.list, work, step_rows) / step_rows * group;
  }
  const Index together =
      std::clamp<Index>(blocks_at_once / key_heads, 1, std::ssize(tiles.list.work));
  const auto& work = tiles.list.work;
  const auto first_step = [&](const TileWork& one) {
    return tiles.list.visits[static_cast<std::size_t>(one.first_visit)].step;
  };
  const bool alike = std::ranges::all_of(
      work, [&](const TileWork& one) { return first_step(one) == first_step(work.front()); });
  const Index waited = (alike ? 1 : 3) * (together - 1);  // by the last of them
  return waited <= hardly_any || waited * 5 <= steps / together * 2;
}

std::optional<TurnTiles> turn_tiles(std::span<const Block> blocks, int tile_rows, int step_rows) {
  const auto runs = runs_of(blocks);
  const auto run_steps = steps_of(runs, step_rows);
  Index rows = 0;
  for (const auto& [row, count] : runs) rows += count;
  const Index step_count = std::ssize(run_steps.steps);
  // Short documents would have steps with hardly a row.
  if (step_count == 0 || step_count * step_rows > 2 * rows + 1024) return std::nullopt;
  TurnTiles tiles{.list = tiles_of(all_transposed(blocks), tile_rows, step_rows),
                  .steps = run_steps.steps};
  if (tiles.list.work.empty()) return std::nullopt;
  const auto visits = std::exchange(tiles.list.visits, {});
  std::vector<int> turns(run_steps.steps.size());
  for (auto& work : tiles.list.work) {
    const auto first = tiles.list.visits.size();
    for (int v = work.first_visit; v < work.first_visit + work.visits; ++v) {
      const auto& visit = visits[static_cast<std::size_t>(v)];
      add_turns(visit, run_steps.first_of_run.at(visit.row), step_rows, turns, tiles.list.visits);
    }
    work.first_visit = narrow<int>(first);
    work.visits = narrow<int>(tiles.list.visits.size() - first);
  }
  tiles.most_turns = *std::ranges::max_element(turns);
  return tiles;
}

}  // namespace annulus::kernels::gpu
