#pragma once
// Which tiles a kernel computes, and what each meets: made on the host from blocks, read on the
// device. Kernels never search; whether a pair of tiles is hidden, cut by the mask or seen as a
// whole is arithmetic on the ends of runs, done here.

#include <optional>
#include <span>
#include <vector>

#include "annulus/plan/block.hpp"

namespace annulus::kernels::gpu {

/// Half-open range of rows of a run, in the 32 bits that the device counts with.
struct RowRange {
  int begin = 0;
  int end = 0;

  [[nodiscard]] constexpr bool empty() const { return end <= begin; }
  [[nodiscard]] constexpr int size() const { return end - begin; }
  friend constexpr bool operator==(const RowRange&, const RowRange&) = default;
};

/// floor((offset + i * step) / stride) for the rows i of a tile. Positions need 64 bits, and their
/// division is slow on a device; with quotients and remainders by the stride taken apart, 32 do.
struct RowLine {
  int quotient = 0;  ///< of the offset; cut to +-line_limit, which lies beyond every run
  int remainder = 0;
};
inline constexpr int line_limit = 1 << 29;

/// A tile of rows meets the rows of the other side of a block, which stream past it. Rows of the
/// tile count from its first one, streaming rows from the first one of their run.
struct TileVisit {
  int row = 0;            ///< local row of the first streaming row
  int count = 0;          ///< streaming rows of the run
  RowRange seen{};        ///< those that some row of the tile sees
  RowRange whole{};       ///< of these, those that all rows of the tile see
  RowRange self{};        ///< contains those that stand where a row of the tile stands
  int stride = 1;         ///< of the streaming rows
  int step_quotient = 0;  ///< of the stride of the tile's rows by `stride`
  int step_remainder = 0;
  RowLine before_first{};  ///< the last streaming row before those that a row sees
  RowLine last{};          ///< the last that it sees
  RowLine position{};      ///< the last that does not stand after it
  int step = 0;            ///< in lists of TurnTiles: the step that `seen` begins with,
  int turns = 0;           ///< and the additions to each step of `seen` that come before this one

  /// Streaming rows that row i of the tile sees; may be empty. As Block::visible.
  [[nodiscard]] constexpr RowRange visible(int i) const {
    const int begin = floor_of(before_first, i) + 1;
    const int end = floor_of(last, i) + 1;
    return {begin > 0 ? begin : 0, end < count ? end : count};
  }

  /// The streaming row that stands where row i of the tile stands, or -1. As Block::self_key.
  [[nodiscard]] constexpr int self_key(int i) const {
    const int key = floor_of(position, i);
    const bool exact = remainder_of(position, i) % static_cast<unsigned>(stride) == 0;
    return exact && key >= 0 && key < count ? key : -1;
  }

 private:
  [[nodiscard]] constexpr unsigned remainder_of(RowLine line, int i) const {
    return static_cast<unsigned>(line.remainder + i * step_remainder);
  }
  [[nodiscard]] constexpr int floor_of(RowLine line, int i) const {
    return line.quotient + i * step_quotient +
           static_cast<int>(remainder_of(line, i) / static_cast<unsigned>(stride));
  }
};

/// The work of one thread block for one head, or for the few that share its tile: a tile, and its
/// visits in the order of their sums.
struct TileWork {
  int row = 0;        ///< first local row
  int state_row = 0;  ///< where the states or sums of that row are
  int rows = 0;       ///< at most those of the kernel's tile
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
/// blocks in their order. Throws Error where a run has more than 2^29 rows, or a stride above 2^21.
[[nodiscard]] TileList query_tiles(std::span<const Block> blocks, int tile_rows);

/// The most streaming rows of one tile, where every visit is made in whole steps of `step_rows`.
[[nodiscard]] Index most_streaming_rows(const TileList& list, int step_rows);

/// The other way around: tiles of keys, past which the queries stream.
[[nodiscard]] TileList key_tiles(std::span<const Block> blocks, int tile_rows);

/// Rows that every tile meets together.
struct StepRows {
  int row = 0;  ///< first local row
  int rows = 0;

  friend constexpr bool operator==(const StepRows&, const StepRows&) = default;
};

/// Tiles of keys past which the queries stream in steps that are the same rows for all of them, so
/// that sums of these rows can have additions of every tile, one after the other.
struct TurnTiles {
  TileList list;                ///< visits are cut where `turns` changes
  std::vector<StepRows> steps;  ///< all of them, run after run
  int most_turns = 0;           ///< additions to one step
};

/// Whether taking turns costs less than the two products that it saves, where each of `key_heads`
/// has these tiles, all `group` heads stream past one, and a device runs so many thread blocks at
/// once: those that start together are one step behind each other, or three with a causal mask,
/// where each begins two steps after the one before.
[[nodiscard]] bool turns_pay(const TurnTiles& tiles, int key_heads, int group, int blocks_at_once,
                             int step_rows);

/// Additions are numbered in the order of the list, visit after visit. Empty where nothing meets,
/// two runs of queries have some rows in common and not all, or where most rows of steps would be
/// none of a run.
[[nodiscard]] std::optional<TurnTiles> turn_tiles(std::span<const Block> blocks, int tile_rows,
                                                  int step_rows);

}  // namespace annulus::kernels::gpu
