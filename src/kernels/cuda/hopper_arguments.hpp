#pragma once
// What the kernels for compute capability 9.0 are given: beside the arguments of other kernels, the
// maps that their tiles come by.

#include "annulus/base/data_type.hpp"
#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/device/hopper/tensor_map.hpp"
#include "kernels/cuda/work_order.hpp"

namespace annulus::kernels::gpu {

struct HopperForwardArguments {
  ForwardArguments forward{};
  WorkOrder order{};
  TensorMap q{};
  TensorMap k{};
  TensorMap v{};
};

struct HopperGradientArguments {
  GradientArguments gradient{};
  WorkOrder order{};
  TensorMap q{};
  TensorMap k{};
  TensorMap v{};
  TensorMap dout{};
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

struct ForwardMaps {
  TileMap q;
  TileMap k;
  TileMap v;
};

/// Those of the forward kernel for head dimension `dim`, one of hopper_dims.
[[nodiscard]] ForwardMaps forward_maps(DataType type, int dim, const ForwardArguments& arguments);

struct GradientMaps {
  TileMap q;
  TileMap k;
  TileMap v;
  TileMap dout;
};

/// Which side of a pair owns tiles, past which the other one streams.
enum class Owners { queries, keys };

/// Those of the kernels of gradients.
[[nodiscard]] GradientMaps gradient_maps(DataType type, int dim, Owners owners,
                                         const GradientArguments& arguments);

}  // namespace annulus::kernels::gpu
