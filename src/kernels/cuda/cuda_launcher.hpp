#pragma once
// The launcher of CUDA GPUs.

#include "kernels/cuda/launcher.hpp"

namespace annulus::kernels::gpu {

/// Runs on the device of the stream, which must have compute capability 8.0 or later. Throws
/// InputError in a build without CUDA.
[[nodiscard]] const Launcher& cuda_launcher();

/// The part of it that is compiled for element type T: BFloat16, Float16 or float.
template <class T>
struct CudaLauncherOf {
  /// Thread blocks of the forward kernel of a choice that a multiprocessor of the current device
  /// runs at once.
  [[nodiscard]] static int forward_blocks(const KernelChoice& choice);
  static void forward(const KernelChoice& choice, const ForwardArguments& arguments,
                      Stream& stream);
  static void add_query_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                                  Stream& stream);
  static void add_key_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                                Stream& stream);
  static void add_all_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                                Stream& stream);
  static void fold(const KernelChoice& choice, const FoldStepsArguments& arguments, Stream& stream);
  static void finish(const QueryGradientArguments& arguments, Stream& stream);
  static void mean(const MeanArguments& arguments, Stream& stream);
};

/// The kernels for compute capability 9.0, for BFloat16 and Float16. Throws InputError on another
/// device, and in a build that was not compiled for it.
template <class T>
struct HopperLauncherOf {
  static void forward(const KernelChoice& choice, const ForwardArguments& arguments,
                      Stream& stream);
  static void add_query_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                                  Stream& stream);
  static void add_key_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                                Stream& stream);
  static void add_all_gradients(const KernelChoice& choice, const GradientArguments& arguments,
                                Stream& stream);
  static void fold(const KernelChoice& choice, const FoldStepsArguments& arguments, Stream& stream);
};

}  // namespace annulus::kernels::gpu
