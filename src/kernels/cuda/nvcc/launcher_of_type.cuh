#pragma once
// All kernels of one element type; included by one file for each, so that types compile side by
// side.

#include "kernels/cuda/cuda_launcher.hpp"
#include "kernels/cuda/nvcc/launch.cuh"

namespace annulus::kernels::gpu {

template <class T>
int CudaLauncherOf<T>::forward_blocks(const KernelChoice& choice) {
  int blocks = 0;
  with_forward_kernel<T>(choice,
                         [&]<class Kernel>() { blocks = blocks_of_multiprocessor<Kernel>(); });
  return blocks;
}

template <class T>
void CudaLauncherOf<T>::forward(const KernelChoice& choice, const ForwardArguments& arguments,
                                Stream& stream) {
  dispatch_forward<T>(choice, arguments, LaunchOn{stream});
}

template <class T>
void CudaLauncherOf<T>::add_query_gradients(const KernelChoice& choice,
                                            const GradientArguments& arguments, Stream& stream) {
  dispatch_query_gradients<T>(choice, arguments, LaunchOn{stream});
}

template <class T>
void CudaLauncherOf<T>::add_key_gradients(const KernelChoice& choice,
                                          const GradientArguments& arguments, Stream& stream) {
  dispatch_key_gradients<T>(choice, arguments, LaunchOn{stream});
}

template <class T>
void CudaLauncherOf<T>::add_all_gradients(const KernelChoice& choice,
                                          const GradientArguments& arguments, Stream& stream) {
  dispatch_all_gradients<T>(choice, arguments, LaunchOn{stream});
}

template <class T>
void CudaLauncherOf<T>::fold(const KernelChoice& choice, const FoldStepsArguments& arguments,
                             Stream& stream) {
  dispatch_fold<T>(choice, arguments, LaunchOn{stream});
}

template <class T>
void CudaLauncherOf<T>::finish(const QueryGradientArguments& arguments, Stream& stream) {
  dispatch_rows<FinishQueryGradientsKernel<T>>(arguments, LaunchOn{stream});
}

template <class T>
void CudaLauncherOf<T>::mean(const MeanArguments& arguments, Stream& stream) {
  dispatch_rows<MeanKernel<T>>(arguments, LaunchOn{stream});
}

}  // namespace annulus::kernels::gpu
