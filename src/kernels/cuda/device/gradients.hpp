#pragma once
// Probabilities, made again in the backward pass.

#include "kernels/cuda/device/logits.hpp"

namespace annulus::kernels::gpu {

/// e^(z - lse), 0 for z = -inf. A row that sees nothing has lse = -inf and only such z.
[[nodiscard]] ANNULUS_DEVICE float probability(float z, float lse) {
  return exp_approximate(z - (lse == minus_infinity ? 0.0F : lse));
}

}  // namespace annulus::kernels::gpu
