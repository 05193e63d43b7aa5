#include "annulus/base/index.hpp"
#include "kernels/cuda/dispatch.hpp"
#include "kernels/cuda/key_gradient_kernel.hpp"
#include "kernels/cuda/query_gradient_kernel.hpp"
#include "kernels/cuda/state_kernels.hpp"
#include "kernels/model_launcher.hpp"

namespace annulus::test {

namespace gpu = kernels::gpu;

void ModelLauncher::add_query_gradients(const gpu::KernelChoice& choice,
                                        const gpu::GradientArguments& arguments,
                                        gpu::Stream) const {
  gpu::with_type(choice, [&]<class T>() {
    gpu::with_dim(choice, [&]<int dim>() {
      using Kernel = gpu::QueryGradientKernel<T, dim>;
      run({.blocks_x = arguments.tiles.count,
           .blocks_y = arguments.heads,
           .threads = Kernel::shape.threads(),
           .shared_bytes = Kernel::shared_bytes},
          [&] { Kernel::run(arguments); });
    });
  });
}

void ModelLauncher::add_key_gradients(const gpu::KernelChoice& choice,
                                      const gpu::GradientArguments& arguments, gpu::Stream) const {
  const auto launch = [&]<class Kernel>() {
    run({.blocks_x = arguments.tiles.count,
         .blocks_y = arguments.heads / arguments.group,
         .threads = Kernel::shape.threads(),
         .shared_bytes = Kernel::shared_bytes},
        [&] { Kernel::run(arguments); });
  };
  gpu::with_type(choice, [&]<class T>() {
    gpu::with_dim(choice, [&]<int dim>() {
      if constexpr (gpu::sums_both(dim)) {
        launch.template operator()<gpu::KeyGradientKernel<T, dim, gpu::KeyGradients::both>>();
      } else {
        launch.template operator()<gpu::KeyGradientKernel<T, dim, gpu::KeyGradients::keys>>();
        launch.template operator()<gpu::KeyGradientKernel<T, dim, gpu::KeyGradients::values>>();
      }
    });
  });
}

void ModelLauncher::finish(const gpu::KernelChoice& choice,
                           const gpu::QueryGradientArguments& arguments, gpu::Stream) const {
  gpu::with_type(choice, [&]<class T>() {
    run({.blocks_x = static_cast<int>(ceil_div(arguments.rows, gpu::state_kernel_rows)),
         .blocks_y = arguments.heads,
         .threads = gpu::state_kernel_threads},
        [&] { gpu::finish_query_gradients<T>(arguments); });
  });
}

}  // namespace annulus::test
