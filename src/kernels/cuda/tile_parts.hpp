#pragma once
// Tiles whose streaming rows are cut into parts, each for a thread block of its own: where there
// are few tiles, such as those of one token over many keys, a device would else be idle for the
// most part.

#include <vector>

#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/tile_list.hpp"

namespace annulus::kernels::gpu {

struct PartedTiles {
  TileList list;                 ///< of the parts; their states are rows of a table of their own
  std::vector<TileParts> tiles;  ///< where the parts of each tile are
  int state_rows = 0;            ///< of that table
};

/// At most how many parts each of `tiles` is cut into, for `blocks` thread blocks a tile to fill a
/// device that runs `blocks_at_once`. 1 where they do already, or where parts would have hardly
/// more than a few steps of `step_rows` streaming rows.
[[nodiscard]] int parts_to_fill(const TileList& tiles, int blocks, int blocks_at_once,
                                int step_rows);

/// Every tile in at most `parts` parts of nearly as many steps, in the order of its visits. Parts
/// are cut where steps are, which are then those of the whole tile.
[[nodiscard]] PartedTiles part_tiles(const TileList& tiles, int parts, int step_rows);

}  // namespace annulus::kernels::gpu
