#pragma once
// cuDNN as a library of pairs.

#include "kernels/cudnn/pair_attention.hpp"

namespace annulus::kernels::gpu {

/// libcudnn is loaded when it is first asked for, so that programs start where there is none.
[[nodiscard]] const PairLibrary& cudnn_library();

}  // namespace annulus::kernels::gpu
