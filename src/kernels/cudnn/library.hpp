#pragma once
// cuDNN as a library of pairs.

#include "kernels/cudnn/pair_attention.hpp"

namespace annulus::kernels::gpu {

/// libcudnn is loaded when it is first asked for, so that programs start where there is none.
[[nodiscard]] const PairLibrary& cudnn_library();

/// What cuDNN has against a pair, or its gradients, on a GPU of this compute capability, 10 major +
/// minor, as far as its frontend knows without one; empty where it has nothing. Only where
/// cudnn_library() has no problem.
[[nodiscard]] std::string refusal_of(const Pair& pair, int compute_capability);
[[nodiscard]] std::string refusal_of(const Pair& pair, const PairGradients& gradients,
                                     int compute_capability);

}  // namespace annulus::kernels::gpu
