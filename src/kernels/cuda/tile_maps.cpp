#include "annulus/base/error.hpp"
#include "annulus/base/index.hpp"
#include "kernels/cuda/hopper_arguments.hpp"
#include "kernels/cuda/hopper_shape.hpp"

namespace annulus::kernels::gpu {
namespace {

TileMap map_of(DataType type, const InputRows& input, Index heads, Index rows, int box_heads,
               int box_rows) {
  const auto bytes = static_cast<Index>(size_of(type));
  // The distance between heads means nothing where there is one, nor does that between rows: what
  // it would be without gaps.
  const Index head_stride =
      heads > 1 ? input.head_stride * bytes : ceil_div(input.dim * bytes, Index{16}) * 16;
  const Index row_stride = rows > 1 ? input.row_stride * bytes : heads * head_stride;
  return {.type = type,
          .data = input.data,
          .dim = input.dim,
          .heads = heads,
          .rows = rows,
          .head_stride_bytes = head_stride,
          .row_stride_bytes = row_stride,
          .box_heads = box_heads,
          .box_rows = box_rows};
}

}  // namespace

TileMaps tile_maps(DataType type, int dim, const ForwardArguments& arguments) {
  const auto& a = arguments;
  ensure(a.rows > 0 && a.keys > 0, "maps of tiles are of tensors that have rows");
  const int columns = hopper_shape(dim).columns;
  const int key_heads = a.heads / a.group;
  return {.q = map_of(type, a.q, a.heads, a.rows, a.shared, HopperShape::rows / a.shared),
          .k = map_of(type, a.k, key_heads, a.keys, 1, columns),
          .v = map_of(type, a.v, key_heads, a.keys, 1, columns)};
}

}  // namespace annulus::kernels::gpu
