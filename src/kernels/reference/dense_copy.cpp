#include "kernels/reference/dense_copy.hpp"

#include <algorithm>

namespace annulus::kernels {

DenseCopy copy_dense(ConstTensorView view) {
  DenseCopy copy{
      .values = std::vector<double>(static_cast<std::size_t>(view.rows * view.heads * view.dim)),
      .heads = view.heads,
      .dim = view.dim};
  with_element(view.type, [&]<class T>() {
    double* to = copy.values.data();
    for (Index i = 0; i < view.rows; ++i) {
      for (Index h = 0; h < view.heads; ++h, to += view.dim) {
        const T* from = view.row<T>(i, h);
        std::copy(from, from + view.dim, to);
      }
    }
  });
  return copy;
}

}  // namespace annulus::kernels
