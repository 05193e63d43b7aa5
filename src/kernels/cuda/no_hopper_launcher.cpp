// A build whose kernels for GPUs are not compiled for compute capability 9.0.
#include "annulus/base/error.hpp"
#include "annulus/base/half.hpp"
#include "kernels/cuda/cuda_launcher.hpp"

namespace annulus::kernels::gpu {
namespace {

[[noreturn]] void refuse() {
  throw InputError(
      "ANNULUS_CUDA=hopper: this build has no kernels for compute capability 9.0; build with "
      "-DANNULUS_CUDA_ARCHITECTURES=90, or take mma");
}

}  // namespace

template <class T>
void HopperLauncherOf<T>::forward(const KernelChoice& /*choice*/,
                                  const ForwardArguments& /*arguments*/, Stream& /*stream*/) {
  refuse();
}

template <class T>
void HopperLauncherOf<T>::add_query_gradients(const KernelChoice& /*choice*/,
                                              const GradientArguments& /*arguments*/,
                                              Stream& /*stream*/) {
  refuse();
}

template <class T>
void HopperLauncherOf<T>::add_key_gradients(const KernelChoice& /*choice*/,
                                            const GradientArguments& /*arguments*/,
                                            Stream& /*stream*/) {
  refuse();
}

template <class T>
void HopperLauncherOf<T>::add_all_gradients(const KernelChoice& /*choice*/,
                                            const GradientArguments& /*arguments*/,
                                            Stream& /*stream*/) {
  refuse();
}

template <class T>
void HopperLauncherOf<T>::fold(const KernelChoice& /*choice*/,
                               const FoldStepsArguments& /*arguments*/, Stream& /*stream*/) {
  refuse();
}

template struct HopperLauncherOf<BFloat16>;
template struct HopperLauncherOf<Float16>;

}  // namespace annulus::kernels::gpu
