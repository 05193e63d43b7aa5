#pragma once
// What kernels of key gradients sum.

namespace annulus::kernels::gpu {

/// Which of the two gradients one kernel sums: both fill 2 d / 2 registers a thread, which is too
/// much for d = 256.
enum class KeyGradients { both, keys, values };

/// The part of the kernels of key gradients at a head dimension: `both`, or the two in turn.
[[nodiscard]] constexpr bool sums_both(int dim) {
  return dim <= 128;
}

}  // namespace annulus::kernels::gpu
