#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"
#include "kernels/cuda/launcher.hpp"
#include "kernels/cuda/tile_shape.hpp"

namespace annulus::kernels::gpu {
namespace {

int element_bytes(const KernelChoice& choice) {
  return static_cast<int>(size_of(choice.type));
}

}  // namespace

KernelChoice choose_kernel(DataType type, Index head_dim, Index value_dim) {
  if (type == DataType::float64) {
    throw InputError("the cuda backend computes in bf16, fp16 and fp32, not in fp64");
  }
  const Index needed = std::max(head_dim, value_dim);
  const auto* dim = std::ranges::find_if(head_dims, [&](int has) { return has >= needed; });
  if (dim == std::end(head_dims)) {
    throw InputError(fmt::format("head dimension {}: the cuda backend computes up to {}", needed,
                                 *std::ranges::max_element(head_dims)));
  }
  return {.type = type, .dim = *dim};
}

int forward_tile_rows(const KernelChoice& choice) {
  return forward_shape(element_bytes(choice), choice.dim).rows();
}

int query_gradient_tile_rows(const KernelChoice& choice) {
  return query_gradient_shape(element_bytes(choice), choice.dim).rows();
}

int key_gradient_tile_rows(const KernelChoice& choice) {
  return key_gradient_shape(element_bytes(choice), choice.dim).rows();
}

}  // namespace annulus::kernels::gpu
