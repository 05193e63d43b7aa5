#pragma once
// From a choice at run time to a kernel that is compiled for it.

#include "annulus/base/error.hpp"
#include "kernels/cuda/launcher.hpp"

namespace annulus::kernels::gpu {

/// Calls use.operator()<dim>() with the head dimension of a choice.
template <class Use>
void with_dim(const KernelChoice& choice, Use use) {
  switch (choice.dim) {
    case 64:
      return use.template operator()<64>();
    case 96:
      return use.template operator()<96>();
    case 128:
      return use.template operator()<128>();
    case 256:
      return use.template operator()<256>();
    default:
      broken_invariant("kernels are compiled for the head dimensions of choose_kernel");
  }
}

/// Calls use.operator()<T>() with the element type of a choice.
template <class Use>
void with_type(const KernelChoice& choice, Use use) {
  switch (choice.type) {
    case DataType::bfloat16:
      return use.template operator()<BFloat16>();
    case DataType::float16:
      return use.template operator()<Float16>();
    case DataType::float32:
      return use.template operator()<float>();
    case DataType::float64:
      break;
  }
  broken_invariant("kernels are compiled for the data types of choose_kernel");
}

}  // namespace annulus::kernels::gpu
