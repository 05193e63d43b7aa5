#pragma once
// How large the tiles of the forward kernel for compute capability 9.0 are, and where they lie in
// shared memory: host code and kernels share it.
//
// Two warpgroups own 64 queries each; a warp of a third one brings tiles. A thread of an owner
// holds sums of d columns in d / 2 registers, logits of c keys in c / 2 and their weights in c / 4,
// of 240.

#include "kernels/cuda/device/machine.hpp"

namespace annulus::kernels::gpu {

/// Elements of a head that the kernel is compiled for; others are filled up with zeros.
inline constexpr int hopper_dims[] = {64, 128, 256};

/// What a thread block of compute capability 9.0 can have.
inline constexpr int most_hopper_shared_bytes = 227 * 1024;

struct HopperShape {
  int columns = 128;  ///< keys of one step
  int stages = 2;     ///< steps that shared memory has room for

  static constexpr int owners = 2;  ///< warpgroups
  static constexpr int rows = owners * 64;
  static constexpr int owner_warps = owners * 4;
  static constexpr int threads = (owners + 1) * 4 * warp_lanes;

  /// Registers of a thread: at the start as the compiler deals 65536 of them, then of one that
  /// brings tiles and of an owner.
  static constexpr int registers = 65536 / threads / 8 * 8;
  static constexpr int bringing_registers = 24;
  static constexpr int owner_registers = 240;
  static_assert(bringing_registers + owners * owner_registers <= (owners + 1) * registers);

  /// Barriers: one of the queries, and four of each stage.
  [[nodiscard]] constexpr int barrier_bytes() const { return 8 * (1 + 4 * stages); }
  [[nodiscard]] constexpr int shared_bytes(int row_bytes) const {
    return (rows + stages * 2 * columns) * row_bytes + barrier_bytes();
  }
};

[[nodiscard]] constexpr HopperShape hopper_shape(int dim) {
  if (dim <= 64) return {.columns = 128, .stages = 4};
  if (dim <= 128) return {.columns = 128, .stages = 2};
  return {.columns = 64, .stages = 2};
}

}  // namespace annulus::kernels::gpu
