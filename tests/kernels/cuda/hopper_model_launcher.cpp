// The kernels for compute capability 9.0, by themselves: they take long to compile.
#include "kernels/cuda/device/dispatch.hpp"
#include "kernels/cuda/device/hopper/hopper_dispatch.hpp"
#include "kernels/cuda/hopper_model.hpp"
#include "kernels/cuda/model_launcher.hpp"

namespace annulus::test {

namespace gpu = kernels::gpu;

/// What a thread begins with, where warpgroups hand registers to one another; 0 elsewhere.
template <class Kernel>
constexpr int registers_of = 0;
template <class Kernel>
requires requires {
  Kernel::registers;
}
constexpr int registers_of<Kernel> = Kernel::registers;

auto ModelLauncher::hopper_launch(device::Stream& stream, bool in_order) const {
  return [this, &stream, in_order]<class Kernel>(int blocks_x, int blocks_y,
                                                 const typename Kernel::Arguments& arguments) {
    run(
        {.blocks_x = blocks_x,
         .blocks_y = blocks_y,
         .threads = Kernel::threads,
         .shared_bytes = Kernel::shared_bytes,
         .registers = registers_of<Kernel>,
         .together = TakesTurns<Kernel>,
         .in_order = in_order},
        [arguments] { Kernel::run(arguments); }, stream);
  };
}

void ModelLauncher::hopper_forward(const gpu::KernelChoice& choice,
                                   const gpu::ForwardArguments& arguments,
                                   device::Stream& stream) const {
  gpu::with_half_type(choice, [&]<class T>() {
    gpu::dispatch_hopper_forward<T>(choice, arguments, shared_memory_.count, encode_for_model,
                                    hopper_launch(stream));
  });
}

void ModelLauncher::add_hopper_query_gradients(const gpu::KernelChoice& choice,
                                               const gpu::GradientArguments& arguments,
                                               device::Stream& stream) const {
  gpu::with_half_type(choice, [&]<class T>() {
    gpu::dispatch_hopper_query_gradients<T>(choice, arguments, shared_memory_.count,
                                            encode_for_model, hopper_launch(stream));
  });
}

void ModelLauncher::add_hopper_key_gradients(const gpu::KernelChoice& choice,
                                             const gpu::GradientArguments& arguments,
                                             device::Stream& stream) const {
  gpu::with_half_type(choice, [&]<class T>() {
    gpu::dispatch_hopper_key_gradients<T>(choice, arguments, shared_memory_.count, encode_for_model,
                                          hopper_launch(stream));
  });
}

void ModelLauncher::add_hopper_all_gradients(const gpu::KernelChoice& choice,
                                             const gpu::GradientArguments& arguments,
                                             device::Stream& stream) const {
  gpu::with_half_type(choice, [&]<class T>() {
    gpu::dispatch_hopper_all_gradients<T>(choice, arguments, shared_memory_.count, encode_for_model,
                                          hopper_launch(stream, choice.in_order));
  });
}

void ModelLauncher::hopper_fold(const gpu::KernelChoice& choice,
                                const gpu::FoldStepsArguments& arguments,
                                device::Stream& stream) const {
  gpu::dispatch_hopper_fold(choice, arguments, hopper_launch(stream));
}

}  // namespace annulus::test
