#include "kernels/cuda/cuda_launcher.hpp"

#include "kernels/cuda/launch.cuh"

namespace annulus::kernels::gpu {
namespace {

class CudaLauncher final : public Launcher {
 public:
  void start(const StartArguments& arguments, Stream stream) const override {
    dispatch_rows<StartKernel>(arguments, LaunchOn{stream});
  }

  void forward(const KernelChoice& choice, const ForwardArguments& arguments,
               Stream stream) const override {
    with_type(choice, [&]<class T>() { CudaLauncherOf<T>::forward(choice, arguments, stream); });
  }

  void finish(const FinishArguments& arguments, Stream stream) const override {
    dispatch_rows<FinishKernel>(arguments, LaunchOn{stream});
  }

  void add_query_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                           Stream stream) const override {
    with_type(choice, [&]<class T>() {
      CudaLauncherOf<T>::add_query_gradients(choice, arguments, stream);
    });
  }

  void add_key_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                         Stream stream) const override {
    with_type(choice,
              [&]<class T>() { CudaLauncherOf<T>::add_key_gradients(choice, arguments, stream); });
  }

  void finish(const KernelChoice& choice, const QueryGradientArguments& arguments,
              Stream stream) const override {
    with_type(choice, [&]<class T>() { CudaLauncherOf<T>::finish(arguments, stream); });
  }
};

}  // namespace

const Launcher& cuda_launcher() {
  static const CudaLauncher launcher;
  return launcher;
}

}  // namespace annulus::kernels::gpu
