#include "kernels/cuda/kept_tiles.hpp"

#include "annulus/base/error.hpp"
#include "annulus/base/narrow.hpp"
#include "kernels/cuda/tile_parts.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {

const ForwardTiles& KeptTiles::forward(const KernelChoice& choice, int shared, int blocks_of_tile,
                                       std::span<const Block> blocks) {
  const ForwardShape shape{.tile_rows = forward_tile_rows(choice) / shared,
                           .step_rows = forward_step_rows(choice),
                           .blocks_of_tile = blocks_of_tile};
  return forward_.get(blocks, shape, [&]() -> ForwardTiles {
    const auto tiles = query_tiles(blocks, shape.tile_rows);
    const int parts = parts_to_fill(tiles, blocks_of_tile,
                                    launcher_.blocks_at_once(choice, *stream_), shape.step_rows);
    if (parts == 1) return {.list = DeviceTiles(stream_, tiles)};
    const auto parted = part_tiles(tiles, parts, shape.step_rows);
    return {.list = DeviceTiles(stream_, parted.list),
            .parted = DeviceArray<TileParts>(stream_, std::span(parted.tiles)),
            .parted_count = narrow<int>(std::ssize(parted.tiles)),
            .state_rows = parted.state_rows};
  });
}

const GradientTiles& KeptTiles::gradients(const KernelChoice& choice, int group,
                                          std::span<const Block> blocks) {
  const GradientShape shape{.query_rows = query_gradient_tile_rows(choice),
                            .key_rows = key_gradient_tile_rows(choice),
                            .key_step_rows = key_gradient_step_rows(choice),
                            .group = group,
                            .panel = panel_rows(static_cast<int>(size_of(choice.type)))};
  return gradients_.get(blocks, shape, [&]() -> GradientTiles {
    const auto of_keys = key_tiles(blocks, shape.key_rows);
    return {.of_queries = DeviceTiles(stream_, query_tiles(blocks, shape.query_rows)),
            .of_keys = DeviceTiles(stream_, of_keys),
            .key_panels = most_streaming_rows(of_keys, shape.key_step_rows) * group > shape.panel};
  });
}

std::shared_ptr<KeptTiles> kept_tiles(const Launcher& launcher, const PassOptions& options) {
  if (options.kept == nullptr) return std::make_shared<KeptTiles>(launcher, options.stream);
  auto tiles = std::dynamic_pointer_cast<KeptTiles>(options.kept);
  ensure(tiles != nullptr, "a pass is given what its own backend keeps");
  return tiles;
}

}  // namespace annulus::kernels::gpu
