#include "kernels/cuda/tile_list.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

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

/// Adds what the rows [first, first + rows) of a block's run meet: one visit, or, where rows stand
/// so far apart that nobody sees what lies between, one for each stretch that somebody sees.
void add_visits(const Block& block, Index first, Index rows, std::vector<TileVisit>& visits) {
  const auto add = [&](Interval seen) {
    if (seen.empty()) return;
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
    if (seen.begin > stretch.end || stretch.empty()) {
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

TileList tiles_of(const std::vector<Block>& blocks, int tile_rows) {
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
        add_visits(blocks[b], row - blocks[b].queries.row, rows, list.visits);
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
  std::vector<Block> exchanged;
  for (const auto& block : blocks) exchanged.push_back(transposed(block));
  return tiles_of(exchanged, tile_rows);
}

}  // namespace annulus::kernels::gpu
