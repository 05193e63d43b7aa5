#pragma once
// What a launcher needs of the model of compute capability 9.0; see async_memory.hpp and
// warp_products.hpp.

#include "kernels/cuda/hopper_arguments.hpp"

namespace annulus::test {

/// A map as load_tile() of the model reads it. Throws Error where a driver would refuse it.
[[nodiscard]] kernels::gpu::TensorMap encode_for_model(const kernels::gpu::TileMap& map);

}  // namespace annulus::test
