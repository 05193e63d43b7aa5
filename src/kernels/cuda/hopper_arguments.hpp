#pragma once
// What the forward kernel for compute capability 9.0 is given: beside the arguments of every
// forward kernel, the maps that its tiles come by.

#include "annulus/base/data_type.hpp"
#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/device/hopper/tensor_map.hpp"

namespace annulus::kernels::gpu {

struct HopperArguments {
  ForwardArguments forward{};
  TensorMap q{};
  TensorMap k{};
  TensorMap v{};
};

/// A tensor of 16-bit elements (rows, heads, dim) and the boxes that are copied of it: what is
/// encoded as a TensorMap. Elements are the innermost, in boxes of 64, rows the outermost. What a
/// box has outside the tensor is 0. Chunks in shared memory are turned as in matrix_descriptor.hpp.
struct TileMap {
  DataType type = DataType::bfloat16;
  const void* data = nullptr;
  Index dim = 0;
  Index heads = 0;
  Index rows = 0;
  Index head_stride_bytes = 0;
  Index row_stride_bytes = 0;
  int box_heads = 1;
  int box_rows = 1;
};

struct TileMaps {
  TileMap q;
  TileMap k;
  TileMap v;
};

/// Those of the kernel for head dimension `dim`, one of hopper_dims.
[[nodiscard]] TileMaps tile_maps(DataType type, int dim, const ForwardArguments& arguments);

}  // namespace annulus::kernels::gpu
