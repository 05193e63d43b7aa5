#include "kernels/cuda/kept_tiles.hpp"

#include <algorithm>
#include <utility>

#include "annulus/base/error.hpp"
#include "annulus/base/narrow.hpp"
#include "kernels/cuda/tile_parts.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {
namespace {

/// The rows of all tiles, ascending, in as few intervals as there can be.
std::vector<Interval> rows_of(const TileList& list) {
  std::vector<Interval> rows;
  for (const auto& work : list.work) rows.push_back({work.row, Index{work.row} + work.rows});
  std::ranges::sort(rows, {}, &Interval::begin);
  std::vector<Interval> joined;
  for (const auto& interval : rows) {
    if (joined.empty() || joined.back().end < interval.begin) joined.push_back(interval);
    joined.back().end = interval.end;
  }
  return joined;
}

}  // namespace

const ForwardTiles& KeptTiles::forward(const KernelChoice& choice, int shared, int blocks_of_tile,
                                       std::span<const Block> blocks) {
  // The same parts, and bits, with statistics and without.
  auto without_statistics = choice;
  without_statistics.statistics = false;
  const ForwardShape shape{.type = choice.type,
                           .dim = choice.dim,
                           .tile_rows = forward_tile_rows(choice) / shared,
                           .step_rows = forward_step_rows(choice),
                           .blocks_of_tile = blocks_of_tile};
  return forward_.get(blocks, shape, [&]() -> ForwardTiles {
    const auto tiles = query_tiles(blocks, shape.tile_rows);
    const int parts =
        parts_to_fill(tiles, blocks_of_tile, launcher_.blocks_at_once(without_statistics, *stream_),
                      shape.step_rows);
    if (parts == 1) return {.list = DeviceTiles(stream_, tiles)};
    const auto parted = part_tiles(tiles, parts, shape.step_rows);
    return {.list = DeviceTiles(stream_, parted.list),
            .parted = DeviceArray<TileParts>(stream_, std::span(parted.tiles)),
            .parted_count = narrow<int>(std::ssize(parted.tiles)),
            .state_rows = parted.state_rows};
  });
}

const GradientTiles& KeptTiles::gradients(const KernelChoice& choice, int key_heads, int group,
                                          std::span<const Block> blocks) {
  const auto device = launcher_.multiprocessors(*stream_);
  const bool in_turns = sums_all_gradients(choice, device);
  const GradientShape shape{
      .query_rows = query_gradient_tile_rows(choice),
      .key_rows = key_gradient_tile_rows(choice),
      .key_step_rows = key_gradient_step_rows(choice),
      .turn_rows = in_turns ? all_gradients_tile_rows(choice) : 0,
      .turn_step_rows = in_turns ? all_gradients_step_rows(choice) : 0,
      .turn_blocks = in_turns ? all_gradients_blocks_at_once(choice, device) : 0,
      .most_turns = in_turns ? all_gradients_most_turns(choice) : 0,
      .in_order = choice.in_order,
      .key_heads = key_heads,
      .group = group,
      .panel = panel_rows(static_cast<int>(size_of(choice.type)))};
  return gradients_.get(blocks, shape, [&]() -> GradientTiles {
    if (auto tiles = tiles_in_turns(shape, blocks)) return std::move(*tiles);
    const auto of_keys = key_tiles(blocks, shape.key_rows);
    return {.of_queries = DeviceTiles(stream_, query_tiles(blocks, shape.query_rows)),
            .of_keys = DeviceTiles(stream_, of_keys),
            .keys = rows_of(of_keys),
            .key_panels = most_streaming_rows(of_keys, shape.key_step_rows) * group > shape.panel};
  });
}

std::optional<GradientTiles> KeptTiles::tiles_in_turns(const GradientShape& shape,
                                                       std::span<const Block> blocks) const {
  if (shape.turn_rows == 0) return std::nullopt;
  const auto tiles = turn_tiles(blocks, shape.turn_rows, shape.turn_step_rows);
  if (!tiles.has_value() || tiles->most_turns > shape.most_turns) return std::nullopt;
  if (shape.in_order &&
      !turns_pay(*tiles, shape.key_heads, shape.group, shape.turn_blocks, shape.turn_step_rows)) {
    return std::nullopt;
  }
  const bool panels =
      most_streaming_rows(tiles->list, shape.turn_step_rows) * shape.group > shape.panel;
  return GradientTiles{.of_queries = DeviceTiles(stream_, {}),
                       .of_keys = DeviceTiles(stream_, tiles->list),
                       .keys = rows_of(tiles->list),
                       .key_panels = panels,
                       .steps = tiles->steps,
                       .steps_there = DeviceArray<StepRows>(stream_, std::span(tiles->steps)),
                       .most_turns = tiles->most_turns};
}

std::shared_ptr<KeptTiles> kept_tiles(const Launcher& launcher, const PassOptions& options) {
  if (options.kept == nullptr) return std::make_shared<KeptTiles>(launcher, options.stream);
  auto tiles = std::dynamic_pointer_cast<KeptTiles>(options.kept);
  ensure(tiles != nullptr, "a pass is given what its own backend keeps");
  return tiles;
}

}  // namespace annulus::kernels::gpu
