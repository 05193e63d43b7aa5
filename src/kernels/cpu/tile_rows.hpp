#pragma once
// Rows of a tensor in the type that a tile computes in.

#include <type_traits>

#include "annulus/base/tensor_view.hpp"
#include "kernels/cpu/tile_functions.hpp"

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
  with_element(view.type, [&]<class From>() {
    if constexpr (std::is_same_v<E, Accumulator<From>>) {
      const auto& functions = row_functions<From>();
      for (Index i = 0; i < count; ++i) {
        functions.widen(view.row<From>(row + i, head), view.dim, staging + i * view.dim);
      }
    }
  });
  return {staging, view.dim};
}

}  // namespace annulus::kernels
