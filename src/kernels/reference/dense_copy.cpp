#include "kernels/reference/dense_copy.hpp"

#include "annulus/base/tensor.hpp"

namespace annulus::kernels {

DenseCopy copy_dense(ConstTensorView view) {
  return {.values = numbers_of(view), .heads = view.heads, .dim = view.dim};
}

}  // namespace annulus::kernels
