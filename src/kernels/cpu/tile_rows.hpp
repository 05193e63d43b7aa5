#pragma once
// Rows of a tensor in the type that a tile computes in.

#include <type_traits>

#include "annulus/base/tensor_view.hpp"

namespace annulus::kernels {

/// Rows of one head.
template <class E>
struct TileRows {
  const E* data;
  Index stride;  ///< between rows, in elements
};

/// Rows row .. row + count - 1 of `head`: where they are if they are of type E, else converted into
/// `staging`, which has room for count * dim elements. E holds every number of the view's type.
template <class E>
[[nodiscard]] TileRows<E> tile_rows(ConstTensorView view, Index row, Index head, Index count,
                                    E* staging) {
  if (view.type == data_type_of<E>) return {view.row<E>(row, head), view.row_stride};
  ensure(accumulator_of(view.type) == data_type_of<E>,
         "rows are computed with as they are or in their sums' type");
  if constexpr (std::is_same_v<E, Accumulator<E>>) {
    with_element(view.type, [&]<class From>() {
      for (Index i = 0; i < count; ++i) {
        const From* from = view.row<From>(row + i, head);
        E* to = staging + i * view.dim;
        for (Index c = 0; c < view.dim; ++c) to[c] = static_cast<E>(from[c]);
      }
    });
  }
  return {staging, view.dim};
}

}  // namespace annulus::kernels
