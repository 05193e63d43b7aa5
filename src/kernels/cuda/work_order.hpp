#pragma once
// In which order a few thread blocks compute much work: host code and kernels share it.

namespace annulus::kernels::gpu {

/// Items of work are tiles, those with the most work first, for one head or for the few that share
/// a tile. A grid of blocks that all run at once is dealt them out and back: the first `blocks` to
/// block 0, 1, ..., the next to ..., 1, 0. Items become shorter from one to the next, so that
/// blocks end at about the same time whatever the mask, and nothing needs to be counted in memory.
/// Where tiles wait for one another, blocks take tickets for items instead, in their order.
///
/// All heads of a tile come before the next tile. Blocks that run at once then have tiles that see
/// about the same keys, from the first one on, and heads that share a key head stand side by side:
/// what one brings to the L2 cache the others find there. Tile after tile of one head would have
/// more of this, and short items before long ones.
struct WorkOrder {
  int blocks = 1;
  int heads = 1;  ///< items of a tile
  int count = 0;  ///< items

  [[nodiscard]] constexpr int item(int round, int block) const {
    return round * blocks + (round % 2 == 0 ? block : blocks - 1 - block);
  }
  /// Whether the block has something to do in this round. Where it has not, nor has it after that.
  [[nodiscard]] constexpr bool has(int round, int block) const {
    return item(round, block) < count;
  }

  [[nodiscard]] constexpr int tile(int item) const {
    return static_cast<int>(static_cast<unsigned>(item) / static_cast<unsigned>(heads));
  }
  /// The head, or which of the few that share a tile.
  [[nodiscard]] constexpr int head(int item) const { return item - tile(item) * heads; }
};

}  // namespace annulus::kernels::gpu
