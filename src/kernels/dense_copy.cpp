#include "kernels/dense_copy.hpp"

#include <algorithm>

namespace annulus::kernels {
namespace {

template <class T>
void fill(DenseCopy& copy, ConstTensorView view) {
  double* to = copy.values.data();
  for (Index i = 0; i < view.rows; ++i) {
    for (Index h = 0; h < view.heads; ++h, to += view.dim) {
      const T* from = view.row<T>(i, h);
      std::copy(from, from + view.dim, to);
    }
  }
}

}  // namespace

DenseCopy copy_dense(ConstTensorView view) {
  DenseCopy copy{
      .values = std::vector<double>(static_cast<std::size_t>(view.rows * view.heads * view.dim)),
      .heads = view.heads,
      .dim = view.dim};
  if (view.type == DataType::float64) {
    fill<double>(copy, view);
  } else {
    fill<float>(copy, view);
  }
  return copy;
}

}  // namespace annulus::kernels
