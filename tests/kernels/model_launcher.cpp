#include "kernels/model_launcher.hpp"

#include "kernels/cuda/dispatch.hpp"

namespace annulus::test {

namespace gpu = kernels::gpu;

/// Starts kernels on the model.
auto ModelLauncher::launch() const {
  return [this]<class Kernel>(int blocks_x, int blocks_y,
                              const typename Kernel::Arguments& arguments) {
    const auto report = run_blocks({.blocks_x = blocks_x,
                                    .blocks_y = blocks_y,
                                    .threads = Kernel::threads,
                                    .shared_bytes = Kernel::shared_bytes},
                                   schedule_, [&] { Kernel::run(arguments); });
    report_.bank_conflicts += report.bank_conflicts;
  };
}

void ModelLauncher::start(const gpu::StartArguments& arguments, gpu::Stream) const {
  gpu::dispatch_rows<gpu::StartKernel>(arguments, launch());
}

void ModelLauncher::forward(const gpu::KernelChoice& choice, const gpu::ForwardArguments& arguments,
                            gpu::Stream) const {
  gpu::with_type(choice, [&]<class T>() { gpu::dispatch_forward<T>(choice, arguments, launch()); });
}

void ModelLauncher::finish(const gpu::FinishArguments& arguments, gpu::Stream) const {
  gpu::dispatch_rows<gpu::FinishKernel>(arguments, launch());
}

void ModelLauncher::add_query_gradients(const gpu::KernelChoice& choice,
                                        const gpu::GradientArguments& arguments,
                                        gpu::Stream) const {
  gpu::with_type(choice,
                 [&]<class T>() { gpu::dispatch_query_gradients<T>(choice, arguments, launch()); });
}

void ModelLauncher::add_key_gradients(const gpu::KernelChoice& choice,
                                      const gpu::GradientArguments& arguments, gpu::Stream) const {
  gpu::with_type(choice,
                 [&]<class T>() { gpu::dispatch_key_gradients<T>(choice, arguments, launch()); });
}

void ModelLauncher::finish(const gpu::KernelChoice& choice,
                           const gpu::QueryGradientArguments& arguments, gpu::Stream) const {
  gpu::with_type(choice, [&]<class T>() {
    gpu::dispatch_rows<gpu::FinishQueryGradientsKernel<T>>(arguments, launch());
  });
}

}  // namespace annulus::test
