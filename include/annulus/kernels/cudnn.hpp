#pragma once
// The backend that lets cuDNN compute on NVIDIA GPUs.

#include <string>

#include "annulus/kernels/kernel.hpp"

namespace annulus::kernels {

/// Computes bf16 and fp16 inputs with d and d_v multiples of 8 up to 256 (gradients up to what
/// cuDNN has on the GPU: 128 but on compute capability 9.0): cuDNN computes the attention of pairs
/// of runs and its gradients, which it rounds to the type of the inputs, and kernels of this
/// project bring them together in fp64 and fp32. Full and causal masks, one positive logit scale
/// for all queries and heads, sinks. Throws InputError for everything else, gradients of lse among
/// it, and where cuDNN 9.15.1 or later cannot be loaded; see cudnn_problem.
[[nodiscard]] const Kernel& cudnn();

/// The cuDNN that this process has loaded: "9.19.0"; empty where there is none.
[[nodiscard]] std::string cudnn_version();

/// Why there is none, or that the build has no cuDNN. Empty where there is one.
[[nodiscard]] std::string cudnn_problem();

}  // namespace annulus::kernels
