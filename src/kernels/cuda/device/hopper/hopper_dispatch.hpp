#pragma once
// From what a launcher is asked to do to the forward kernel for compute capability 9.0.

#include "annulus/base/error.hpp"
#include "kernels/cuda/device/hopper/hopper_forward_kernel.hpp"
#include "kernels/cuda/launcher.hpp"

namespace annulus::kernels::gpu {

/// As dispatch_forward(). encode(tile_map) makes a TensorMap.
template <class T, class Encode, class Launch>
void dispatch_hopper_forward(const KernelChoice& choice, const ForwardArguments& arguments,
                             Encode encode, Launch launch) {
  check_arguments(choice, arguments);
  if (arguments.tiles.count == 0) return;
  const auto maps = tile_maps(choice.type, choice.dim, arguments);
  const HopperArguments with_maps{
      .forward = arguments, .q = encode(maps.q), .k = encode(maps.k), .v = encode(maps.v)};
  const auto run = [&]<int dim, Statistics statistics>() {
    launch.template operator()<HopperForwardKernel<T, dim, statistics>>(
        arguments.tiles.count, arguments.heads / arguments.shared, with_maps);
  };
  const auto run_with = [&]<int dim>() {
    if (choice.statistics) {
      run.template operator()<dim, Statistics::on>();
    } else {
      run.template operator()<dim, Statistics::off>();
    }
  };
  switch (choice.dim) {
    case 64:
      return run_with.template operator()<64>();
    case 128:
      return run_with.template operator()<128>();
    case 256:
      return run_with.template operator()<256>();
    default:
      broken_invariant("this kernel is compiled for hopper_dims");
  }
}

}  // namespace annulus::kernels::gpu
