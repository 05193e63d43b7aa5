#include "kernels/cuda/tile_parts.hpp"

#include <algorithm>
#include <span>

#include "annulus/base/index.hpp"
#include "annulus/base/narrow.hpp"

namespace annulus::kernels::gpu {
namespace {

/// Of a part, so that what it costs to begin and to merge it is little beside them.
constexpr Index fewest_steps = 4;

std::span<const TileVisit> visits_of(const TileList& list, const TileWork& work) {
  return std::span(list.visits)
      .subspan(static_cast<std::size_t>(work.first_visit), static_cast<std::size_t>(work.visits));
}

Index steps_of(const TileVisit& visit, int step_rows) {
  return ceil_div(Index{visit.seen.end} - visit.seen.begin, step_rows);
}

Index steps_of(const TileList& list, const TileWork& work, int step_rows) {
  Index steps = 0;
  for (const auto& visit : visits_of(list, work)) steps += steps_of(visit, step_rows);
  return steps;
}

/// Adds the visits of the steps [begin, end) of a tile.
void add_steps(std::span<const TileVisit> visits, Interval steps, int step_rows,
               std::vector<TileVisit>& to) {
  Index first = 0;
  for (auto visit : visits) {
    const Index count = steps_of(visit, step_rows);
    const Interval own{std::max<Index>(steps.begin - first, 0),
                       std::min<Index>(steps.end - first, count)};
    first += count;
    if (own.empty()) continue;
    const Index begin = visit.seen.begin + own.begin * step_rows;
    const Index end = visit.seen.begin + own.end * step_rows;
    visit.seen = {narrow<int>(begin), narrow<int>(std::min<Index>(end, visit.seen.end))};
    to.push_back(visit);
  }
}

}  // namespace

int parts_to_fill(const TileList& tiles, int blocks, int blocks_at_once, int step_rows) {
  Index longest = 0;
  for (const auto& work : tiles.work) longest = std::max(longest, steps_of(tiles, work, step_rows));
  const Index there = std::ssize(tiles.work) * blocks;
  if (there == 0) return 1;
  return narrow<int>(
      std::clamp<Index>(blocks_at_once / there, 1, std::max<Index>(1, longest / fewest_steps)));
}

PartedTiles part_tiles(const TileList& tiles, int parts, int step_rows) {
  PartedTiles parted;
  for (const auto& work : tiles.work) {
    const Index steps = steps_of(tiles, work, step_rows);
    const Index own_parts = std::min<Index>(parts, steps);
    parted.tiles.push_back({.row = work.row,
                            .rows = work.rows,
                            .state_row = parted.state_rows,
                            .parts = narrow<int>(own_parts)});
    for (Index part = 0; part < own_parts; ++part) {
      const auto first_visit = parted.list.visits.size();
      add_steps(visits_of(tiles, work), {part * steps / own_parts, (part + 1) * steps / own_parts},
                step_rows, parted.list.visits);
      parted.list.work.push_back({.row = work.row,
                                  .state_row = parted.state_rows,
                                  .rows = work.rows,
                                  .first_visit = narrow<int>(first_visit),
                                  .visits = narrow<int>(parted.list.visits.size() - first_visit)});
      parted.state_rows = narrow<int>(Index{parted.state_rows} + work.rows);
    }
  }
  return parted;
}

}  // namespace annulus::kernels::gpu
