#pragma once
// From what a launcher is asked to do to the kernels for compute capability 9.0, as dispatch.hpp.
// encode(tile_map) makes a TensorMap. A multiprocessor has room for one block of these kernels.

#include <algorithm>
#include <limits>

#include "annulus/base/error.hpp"
#include "annulus/base/narrow.hpp"
#include "kernels/cuda/device/hopper/hopper_forward_kernel.hpp"
#include "kernels/cuda/device/hopper/hopper_gradient_kernel.hpp"
#include "kernels/cuda/device/hopper/hopper_key_gradient_kernel.hpp"
#include "kernels/cuda/device/hopper/hopper_query_gradient_kernel.hpp"
#include "kernels/cuda/launcher.hpp"

namespace annulus::kernels::gpu {

/// Calls use.operator()<dim>() with the head dimension of a choice.
template <class Use>
void with_hopper_dim(const KernelChoice& choice, Use use) {
  switch (choice.dim) {
    case 64:
      return use.template operator()<64>();
    case 128:
      return use.template operator()<128>();
    case 256:
      return use.template operator()<256>();
    default:
      broken_invariant("these kernels are compiled for hopper_dims");
  }
}

/// For a grid of as many blocks as there are multiprocessors, or items where these are fewer.
[[nodiscard]] inline WorkOrder work_order(const DeviceTileList& tiles, int heads,
                                          int multiprocessors) {
  ensure(multiprocessors >= 1, "a device has multiprocessors");
  // Rounds go past the last item, by less than twice the blocks.
  const Index items = static_cast<Index>(tiles.count) * heads;
  ensure(items + 2 * static_cast<Index>(multiprocessors) <= std::numeric_limits<int>::max(),
         "a GPU kernel counts tiles of heads with 31 bits");
  const int count = static_cast<int>(items);
  return {.blocks = std::min(multiprocessors, count), .heads = heads, .count = count};
}

template <class T, class Encode, class Launch>
void dispatch_hopper_forward(const KernelChoice& choice, const ForwardArguments& arguments,
                             int multiprocessors, Encode encode, Launch launch) {
  check_arguments(choice, arguments);
  if (arguments.tiles.count == 0) return;
  const auto maps = forward_maps(choice.type, choice.dim, arguments);
  const HopperForwardArguments with_maps{
      .forward = arguments,
      .order = work_order(arguments.tiles, arguments.heads / arguments.shared, multiprocessors),
      .q = encode(maps.q),
      .k = encode(maps.k),
      .v = encode(maps.v)};
  const auto run = [&]<int dim, Statistics statistics>() {
    launch.template operator()<HopperForwardKernel<T, dim, statistics>>(with_maps.order.blocks, 1,
                                                                        with_maps);
  };
  with_hopper_dim(choice, [&]<int dim>() {
    if (choice.statistics) {
      run.template operator()<dim, Statistics::on>();
    } else {
      run.template operator()<dim, Statistics::off>();
    }
  });
}

template <class Encode>
HopperGradientArguments with_gradient_maps(const KernelChoice& choice, Owners owners,
                                           const GradientArguments& arguments, int multiprocessors,
                                           Encode encode) {
  const auto maps = gradient_maps(choice.type, choice.dim, owners, arguments);
  const int heads = owners == Owners::keys ? arguments.heads / arguments.group : arguments.heads;
  return {.gradient = arguments,
          .order = work_order(arguments.tiles, heads, multiprocessors),
          .q = encode(maps.q),
          .k = encode(maps.k),
          .v = encode(maps.v),
          .dout = encode(maps.dout)};
}

template <class T, class Encode, class Launch>
void dispatch_hopper_query_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                                     int multiprocessors, Encode encode, Launch launch) {
  check_arguments(choice, arguments);
  if (arguments.tiles.count == 0) return;
  const auto with_maps =
      with_gradient_maps(choice, Owners::queries, arguments, multiprocessors, encode);
  with_hopper_dim(choice, [&]<int dim>() {
    launch.template operator()<HopperQueryGradientKernel<T, dim>>(with_maps.order.blocks, 1,
                                                                  with_maps);
  });
}

template <class T, class Encode, class Launch>
void dispatch_hopper_key_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                                   int multiprocessors, Encode encode, Launch launch) {
  check_arguments(choice, arguments);
  if (arguments.tiles.count == 0) return;
  const auto with_maps =
      with_gradient_maps(choice, Owners::keys, arguments, multiprocessors, encode);
  with_hopper_dim(choice, [&]<int dim>() {
    const auto run = [&]<KeyGradients which>() {
      launch.template operator()<HopperKeyGradientKernel<T, dim, which>>(with_maps.order.blocks, 1,
                                                                         with_maps);
    };
    if constexpr (sums_both(dim)) {
      run.template operator()<KeyGradients::both>();
    } else {
      run.template operator()<KeyGradients::keys>();
      run.template operator()<KeyGradients::values>();
    }
  });
}

/// Calls use.operator()<dim>() where the kernel of all gradients is compiled for a choice.
template <class Use>
void with_hopper_dim_of_all_gradients(const KernelChoice& choice, Use use) {
  with_hopper_dim(choice, [&]<int dim>() {
    if constexpr (hopper_sums_all_gradients(dim)) {
      use.template operator()<dim>();
    } else {
      broken_invariant("there is no kernel of all gradients for this choice");
    }
  });
}

/// Tickets say what a thread block computes.
template <class T, class Encode, class Launch>
void dispatch_hopper_all_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                                   int multiprocessors, Encode encode, Launch launch) {
  check_arguments(choice, arguments);
  if (arguments.tiles.count == 0) return;
  const auto with_maps =
      with_gradient_maps(choice, Owners::keys, arguments, multiprocessors, encode);
  with_hopper_dim_of_all_gradients(choice, [&]<int dim>() {
    // The maps are those of the kernel over key tiles.
    static_assert(hopper_gradient_shape(dim).columns == hopper_key_gradient_shape(dim).columns);
    if (arguments.one_scale != 0) {
      launch.template operator()<HopperGradientKernel<T, dim, true>>(with_maps.order.blocks, 1,
                                                                     with_maps);
    } else {
      launch.template operator()<HopperGradientKernel<T, dim, false>>(with_maps.order.blocks, 1,
                                                                      with_maps);
    }
  });
}

template <class Launch>
void dispatch_hopper_fold(const KernelChoice& choice, const FoldStepsArguments& arguments,
                          Launch launch) {
  with_hopper_dim_of_all_gradients(choice, [&]<int dim>() {
    launch.template operator()<FoldStepsKernel<OwnerStepSums<dim>>>(arguments.count,
                                                                    arguments.heads, arguments);
  });
}

}  // namespace annulus::kernels::gpu
