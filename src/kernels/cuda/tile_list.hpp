#pragma once
// Which tiles a kernel computes, and what each meets: made on the host from blocks, read on the
// device. Kernels never search; whether a pair of tiles is hidden, cut by the mask or seen as a
// whole is arithmetic on the ends of runs, done here.

#include <span>
#include <vector>

#include "annulus/plan/block.hpp"

namespace annulus::kernels::gpu {

/// Half-open range of rows of a run, in the 32 bits that the device counts with.
struct RowRange {
  int begin = 0;
  int end = 0;

  [[nodiscard]] constexpr bool empty() const { return end <= begin; }
  friend constexpr bool operator==(const RowRange&, const RowRange&) = default;
};

/// A tile of rows meets the rows of the other side of a block, which stream past it.
struct TileVisit {
  Block block;     ///< `queries` is the run of the tile's rows, `keys` the run of those that stream
  Index first;     ///< the tile's first row, as an index of its run
  RowRange seen;   ///< streaming rows, as indices of their run, that some row of the tile sees
  RowRange whole;  ///< of these, those that all rows of the tile see
  RowRange self;   ///< contains the streaming rows that stand where a row of the tile stands
};

/// The work of one thread block for one head: a tile, and its visits in the order of their sums.
struct TileWork {
  int row = 0;   ///< first local row
  int rows = 0;  ///< at most those of the kernel's tile
  int first_visit = 0;
  int visits = 0;
};

/// Every tile that meets something, those with the most work first.
struct TileList {
  std::vector<TileWork> work;
  std::vector<TileVisit> visits;
};

/// The same in device memory.
struct DeviceTileList {
  const TileWork* work = nullptr;
  const TileVisit* visits = nullptr;
  int count = 0;  ///< of `work`
};

/// Tiles of at most `tile_rows` queries, and the keys of `blocks` that stream past them. A row is
/// in one tile only, whatever the blocks, so no two thread blocks write the same sums; it meets its
/// blocks in their order. Throws Error where a run does not fit in 32 bits.
[[nodiscard]] TileList query_tiles(std::span<const Block> blocks, int tile_rows);

/// The other way around: tiles of keys, past which the queries stream.
[[nodiscard]] TileList key_tiles(std::span<const Block> blocks, int tile_rows);

}  // namespace annulus::kernels::gpu
