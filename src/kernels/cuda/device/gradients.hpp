#pragma once
// Probabilities, made again in the backward pass.

#include "kernels/cuda/device/logits.hpp"

namespace annulus::kernels::gpu {

/// e^((z - lse) - lse_low), 0 for z = -inf. The first difference is exact where logits are large
/// beside it. A row that sees nothing has lse = -inf and only such z.
[[nodiscard]] ANNULUS_DEVICE float probability(float z, float lse, float lse_low) {
  return exp_approximate((z - (lse == minus_infinity ? 0.0F : lse)) - lse_low);
}

}  // namespace annulus::kernels::gpu
