#include "annulus/base/index.hpp"
#include "kernels/cuda/dispatch.hpp"
#include "kernels/cuda/forward_kernel.hpp"
#include "kernels/cuda/state_kernels.hpp"
#include "kernels/model_launcher.hpp"

namespace annulus::test {

namespace gpu = kernels::gpu;

void ModelLauncher::run(const Launch& launch, const std::function<void()>& body) const {
  report_.bank_conflicts += run_blocks(launch, schedule_, body).bank_conflicts;
}

void ModelLauncher::start(const gpu::StartArguments& arguments, gpu::Stream) const {
  run({.blocks_x = static_cast<int>(ceil_div(arguments.rows, gpu::state_kernel_rows)),
       .blocks_y = arguments.heads,
       .threads = gpu::state_kernel_threads},
      [&] { gpu::start_state(arguments); });
}

void ModelLauncher::finish(const gpu::FinishArguments& arguments, gpu::Stream) const {
  run({.blocks_x = static_cast<int>(ceil_div(arguments.rows, gpu::state_kernel_rows)),
       .blocks_y = arguments.heads,
       .threads = gpu::state_kernel_threads},
      [&] { gpu::finish_state(arguments); });
}

void ModelLauncher::forward(const gpu::KernelChoice& choice, const gpu::ForwardArguments& arguments,
                            gpu::Stream) const {
  const auto launch = [&]<class Kernel>() {
    run({.blocks_x = arguments.tiles.count,
         .blocks_y = arguments.heads,
         .threads = Kernel::shape.threads(),
         .shared_bytes = Kernel::shared_bytes},
        [&] { Kernel::run(arguments); });
  };
  gpu::with_type(choice, [&]<class T>() {
    gpu::with_dim(choice, [&]<int dim>() {
      if (choice.statistics) {
        launch.template operator()<gpu::ForwardKernel<T, dim, gpu::Statistics::on>>();
      } else {
        launch.template operator()<gpu::ForwardKernel<T, dim, gpu::Statistics::off>>();
      }
    });
  });
}

}  // namespace annulus::test
