#pragma once
// Rows of a tensor in the type that a tile computes in.

#include "annulus/base/tensor_view.hpp"

namespace annulus::kernels {

/// Rows of one head.
template <class T>
struct TileRows {
  const T* data;
  Index stride;  ///< between rows, in elements
};

/// Rows row .. row + count - 1 of `head`: where they are if they are of type T, else converted into
/// `staging`, which has room for count * dim elements. T holds every number of the view's type.
template <class T>
[[nodiscard]] TileRows<T> tile_rows(ConstTensorView view, Index row, Index head, Index count,
                                    T* staging) {
  ensure(accumulator_of(view.type) == data_type_of<T>,
         "rows are computed with in their sums' type");
  if (view.type == data_type_of<T>) return {view.row<T>(row, head), view.row_stride};
  with_element(view.type, [&]<class From>() {
    for (Index i = 0; i < count; ++i) {
      const From* from = view.row<From>(row + i, head);
      T* to = staging + i * view.dim;
      for (Index c = 0; c < view.dim; ++c) to[c] = static_cast<T>(from[c]);
    }
  });
  return {staging, view.dim};
}

}  // namespace annulus::kernels
