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

ForwardMaps forward_maps(DataType type, int dim, const ForwardArguments& arguments) {
  const auto& a = arguments;
  ensure(a.rows > 0 && a.keys > 0, "maps of tiles are of tensors that have rows");
  const int columns = hopper_forward_shape(dim).columns;
  const int key_heads = a.heads / a.group;
  return {.q = map_of(type, a.q, a.heads, a.rows, a.shared, HopperShape::rows / a.shared),
          .k = map_of(type, a.k, key_heads, a.keys, 1, columns),
          .v = map_of(type, a.v, key_heads, a.keys, 1, columns)};
}

GradientMaps gradient_maps(DataType type, int dim, Owners owners,
                           const GradientArguments& arguments) {
  const auto& a = arguments;
  ensure(a.rows > 0 && a.keys > 0, "maps of tiles are of tensors that have rows");
  const bool by_queries = owners == Owners::queries;
  const int query_rows = by_queries ? HopperShape::rows : hopper_key_gradient_shape(dim).columns;
  const int key_rows = by_queries ? hopper_query_gradient_shape(dim).columns : HopperShape::rows;
  const auto of_queries = [&](const InputRows& rows) {
    return map_of(type, rows, a.heads, a.rows, 1, query_rows);
  };
  const auto of_keys = [&](const InputRows& rows) {
    return map_of(type, rows, a.heads / a.group, a.keys, 1, key_rows);
  };
  return {.q = of_queries(a.q), .k = of_keys(a.k), .v = of_keys(a.v), .dout = of_queries(a.dout)};
}

}  // namespace annulus::kernels::gpu
