#pragma once
// Numbers and types of the machine that host code and kernels share.

#include <cstdint>

namespace annulus::kernels::gpu {

/// A place in the shared memory of a thread block: bytes from its start.
using SharedOffset = std::uint32_t;

inline constexpr int warp_lanes = 32;

/// n floats that are loaded at once.
template <int n>
struct alignas(4 * n) Vector {
  float at[n];
};

}  // namespace annulus::kernels::gpu
