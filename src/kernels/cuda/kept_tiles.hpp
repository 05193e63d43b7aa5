#pragma once
// Lists of tiles in device memory, made and uploaded once for the blocks of a plan.

#include <algorithm>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "annulus/kernels/kernel.hpp"
#include "kernels/cuda/device_arrays.hpp"
#include "kernels/cuda/launcher.hpp"

namespace annulus::kernels::gpu {

/// What follows from blocks and from `Shape`, made when it is first asked for.
template <class Shape, class Value>
class OfBlocks {
 public:
  /// What `make()` returns, which stays where it is.
  template <class Make>
  [[nodiscard]] const Value& get(std::span<const Block> blocks, const Shape& shape,
                                 const Make& make) {
    const auto found = std::ranges::find_if(made_, [&](const Made& made) {
      return made.shape == shape && std::ranges::equal(made.blocks, blocks);
    });
    if (found != made_.end()) return found->value;
    return made_.emplace_back(Made{shape, {blocks.begin(), blocks.end()}, make()}).value;
  }

 private:
  struct Made {
    Shape shape;
    std::vector<Block> blocks;
    Value value;
  };
  std::deque<Made> made_;
};

/// The tiles of a call of the forward kernel.
struct ForwardTiles {
  DeviceTiles list;
  DeviceArray<TileParts> parted{};  ///< the tiles that `list` has the parts of, where it has parts
  int parted_count = 0;
  int state_rows = 0;  ///< of the states of the parts
};

/// The tiles of a backward pass: of its two kernels, or of the one that has all gradients.
struct GradientTiles {
  DeviceTiles of_queries;
  DeviceTiles of_keys;
  std::vector<Interval> keys;  ///< rows of the tiles of keys, ascending, as few as they can be
  bool key_panels;             ///< whether sums of some tile of keys are of more than one panel
  /// Of TurnTiles, which `of_keys` then are, on the host and on the device; none for two kernels.
  std::vector<StepRows> steps{};
  DeviceArray<StepRows> steps_there{};
  int most_turns = 0;

  [[nodiscard]] bool in_turns() const { return !steps.empty(); }
};

/// Those of all passes of a plan. Whoever has it computes on one stream.
class KeptTiles final : public Kept {
 public:
  /// Borrows `launcher`.
  KeptTiles(const Launcher& launcher, StreamPointer stream)
      : launcher_(launcher), stream_(std::move(stream)) {}

  /// In parts where whole tiles, each for `blocks_of_tile` thread blocks, leave a device idle.
  [[nodiscard]] const ForwardTiles& forward(const KernelChoice& choice, int shared,
                                            int blocks_of_tile, std::span<const Block> blocks);
  /// `group`: query heads that stream past a tile of keys.
  [[nodiscard]] const GradientTiles& gradients(const KernelChoice& choice, int key_heads, int group,
                                               std::span<const Block> blocks);

 private:
  struct GradientShape;
  [[nodiscard]] std::optional<GradientTiles> tiles_in_turns(const GradientShape& shape,
                                                            std::span<const Block> blocks) const;

  struct ForwardShape {
    DataType type;
    int dim;
    int tile_rows;
    int step_rows;
    int blocks_of_tile;
    friend bool operator==(const ForwardShape&, const ForwardShape&) = default;
  };
  struct GradientShape {
    int query_rows;
    int key_rows;
    int key_step_rows;
    int turn_rows;  ///< of the tiles of one kernel, and 0 where there are two
    int turn_step_rows;
    int turn_blocks;  ///< that run at once
    int most_turns;
    bool in_order;  ///< whether blocks wait for their turns
    int key_heads;
    int group;
    int panel;
    friend bool operator==(const GradientShape&, const GradientShape&) = default;
  };

  const Launcher& launcher_;
  StreamPointer stream_;
  OfBlocks<ForwardShape, ForwardTiles> forward_;
  OfBlocks<GradientShape, GradientTiles> gradients_;
};

/// Those that passes with these options share: PassOptions::kept, or some of their own.
[[nodiscard]] std::shared_ptr<KeptTiles> kept_tiles(const Launcher& launcher,
                                                    const PassOptions& options);

}  // namespace annulus::kernels::gpu
