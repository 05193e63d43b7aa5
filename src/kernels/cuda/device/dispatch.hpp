#pragma once
// From what a launcher is asked to do to kernels that are compiled for it. Every launcher brings a
// function launch.operator()<Kernel>(blocks_x, blocks_y, arguments).

#include "annulus/base/error.hpp"
#include "annulus/base/index.hpp"
#include "annulus/base/narrow.hpp"
#include "kernels/cuda/device/forward_kernel.hpp"
#include "kernels/cuda/device/gradient_kernel.hpp"
#include "kernels/cuda/device/key_gradient_kernel.hpp"
#include "kernels/cuda/device/piece_kernels.hpp"
#include "kernels/cuda/device/query_gradient_kernel.hpp"
#include "kernels/cuda/device/state_kernels.hpp"
#include "kernels/cuda/launcher.hpp"

namespace annulus::kernels::gpu {

/// Calls use.operator()<T>() with an element type that kernels are compiled for.
template <class Use>
void with_type(DataType type, Use use) {
  switch (type) {
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

template <class Use>
void with_type(const KernelChoice& choice, Use use) {
  with_type(choice.type, use);
}

/// The same for types of 16 bits alone.
template <class Use>
void with_half_type(DataType type, Use use) {
  if (type == DataType::bfloat16) return use.template operator()<BFloat16>();
  ensure(type == DataType::float16, "these kernels are for types of 16 bits");
  use.template operator()<Float16>();
}

template <class Use>
void with_half_type(const KernelChoice& choice, Use use) {
  with_half_type(choice.type, use);
}

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

/// A kernel that goes over rows and heads.
template <class Kernel, class Launch>
void dispatch_rows(const typename Kernel::Arguments& arguments, Launch launch) {
  launch.template operator()<Kernel>(static_cast<int>(ceil_div(arguments.rows, Kernel::rows)),
                                     arguments.heads, arguments);
}

template <class Launch>
void dispatch_parts(const MergePartsArguments& arguments, Launch launch) {
  launch.template operator()<MergePartsKernel>(arguments.count, arguments.heads, arguments);
}

/// One that goes over `count` numbers one by one.
template <class Kernel, class Launch>
void dispatch_numbers(Index count, const typename Kernel::Arguments& arguments, Launch launch) {
  launch.template operator()<Kernel>(static_cast<int>(ceil_div(count, Kernel::block_numbers)), 1,
                                     arguments);
}

template <class Launch>
void dispatch_scale_table(const ScaleTableArguments& arguments, Launch launch) {
  dispatch_numbers<ScaleTableKernel>(Index{arguments.rows} * arguments.heads, arguments, launch);
}

template <class Launch>
void dispatch_query_numbers(const QueryNumbersArguments& arguments, Launch launch) {
  dispatch_numbers<QueryNumbersKernel>(Index{arguments.rows} * arguments.heads, arguments, launch);
}

/// Calls use.operator()<Kernel>() with the forward kernel of a choice, whose elements are of type
/// T.
template <class T, class Use>
void with_forward_kernel(const KernelChoice& choice, Use use) {
  const auto use_with = [&]<int dim, Statistics statistics>() {
    if (choice.few_rows) {
      use.template operator()<ForwardKernel<T, dim, statistics, true>>();
    } else {
      use.template operator()<ForwardKernel<T, dim, statistics, false>>();
    }
  };
  with_dim(choice, [&]<int dim>() {
    if (choice.statistics) {
      use_with.template operator()<dim, Statistics::on>();
    } else {
      use_with.template operator()<dim, Statistics::off>();
    }
  });
}

template <class T, class Launch>
void dispatch_forward(const KernelChoice& choice, const ForwardArguments& arguments,
                      Launch launch) {
  check_arguments(choice, arguments);
  with_forward_kernel<T>(choice, [&]<class Kernel>() {
    launch.template operator()<Kernel>(arguments.tiles.count, arguments.heads / arguments.shared,
                                       arguments);
  });
}

template <class T, class Launch>
void dispatch_query_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                              Launch launch) {
  check_arguments(choice, arguments);
  with_dim(choice, [&]<int dim>() {
    launch.template operator()<QueryGradientKernel<T, dim>>(arguments.tiles.count, arguments.heads,
                                                            arguments);
  });
}

template <class T, class Launch>
void dispatch_key_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                            Launch launch) {
  check_arguments(choice, arguments);
  const auto run = [&]<class Kernel>() {
    launch.template operator()<Kernel>(arguments.tiles.count, arguments.heads / arguments.group,
                                       arguments);
  };
  with_dim(choice, [&]<int dim>() {
    if constexpr (sums_both(dim)) {
      run.template operator()<KeyGradientKernel<T, dim, KeyGradients::both>>();
    } else {
      run.template operator()<KeyGradientKernel<T, dim, KeyGradients::keys>>();
      run.template operator()<KeyGradientKernel<T, dim, KeyGradients::values>>();
    }
  });
}

/// Calls use.operator()<dim>() where the kernel of all gradients is compiled for a choice.
template <class T, class Use>
void with_dim_of_all_gradients(const KernelChoice& choice, Use use) {
  with_dim(choice, [&]<int dim>() {
    if constexpr (sums_all_gradients(sizeof(T), dim)) {
      use.template operator()<dim>();
    } else {
      broken_invariant("there is no kernel of all gradients for this choice");
    }
  });
}

/// In one dimension, for a ticket says what a thread block computes.
template <class T, class Launch>
void dispatch_all_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                            Launch launch) {
  check_arguments(choice, arguments);
  with_dim_of_all_gradients<T>(choice, [&]<int dim>() {
    const Index blocks = Index{arguments.tiles.count} * (arguments.heads / arguments.group);
    launch.template operator()<GradientKernel<T, dim>>(narrow<int>(blocks), 1, arguments);
  });
}

template <class T, class Launch>
void dispatch_fold(const KernelChoice& choice, const FoldStepsArguments& arguments, Launch launch) {
  with_dim_of_all_gradients<T>(choice, [&]<int dim>() {
    launch.template operator()<FoldStepsKernel<LaneStepSums<dim>>>(arguments.count, arguments.heads,
                                                                   arguments);
  });
}

}  // namespace annulus::kernels::gpu
