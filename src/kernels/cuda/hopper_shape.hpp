#pragma once
// How large the tiles of the kernels for compute capability 9.0 are, and where they lie in shared
// memory: host code and kernels share it.
//
// Two warpgroups own 64 rows each; a warp of a third one brings tiles. A thread of an owner holds
// sums of d columns in d / 2 registers, products with c streaming rows in c / 2 and factors that
// are made of them in c / 4, of 240: forward one of each, query gradients one, two and one, key
// gradients two of each. All gradients as those of keys: products are done when 64 columns of sums
// of queries, in 32 registers, begin.

#include "kernels/cuda/device/machine.hpp"

namespace annulus::kernels::gpu {

/// Elements of a head that kernels are compiled for; others are filled up with zeros.
inline constexpr int hopper_dims[] = {64, 128, 256};

/// What a thread block of compute capability 9.0 can have.
inline constexpr int most_hopper_shared_bytes = 227 * 1024;

struct HopperShape {
  int columns = 128;  ///< streaming rows of one step
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

  /// Bytes of shared memory: `owned` tiles of rows and, for each stage, two of columns, `numbers`
  /// fp32 numbers for each streaming row and the barriers of `rings` rings; two barriers are those
  /// of the owned tiles.
  [[nodiscard]] constexpr int shared_bytes(int row_bytes, int owned, int rings,
                                           int numbers = 0) const {
    return owned * rows * row_bytes + stages * columns * (2 * row_bytes + 4 * numbers) +
           8 * (2 + 2 * rings * stages);
  }
};

/// Queries own tiles: q; k and v stream.
[[nodiscard]] constexpr HopperShape hopper_forward_shape(int dim) {
  if (dim <= 64) return {.columns = 128, .stages = 4};
  if (dim <= 128) return {.columns = 128, .stages = 2};
  return {.columns = 64, .stages = 2};
}

/// Queries own tiles: q and dout; k and v stream.
[[nodiscard]] constexpr HopperShape hopper_query_gradient_shape(int dim) {
  if (dim <= 64) return {.columns = 128, .stages = 4};
  if (dim <= 128) return {.columns = 64, .stages = 4};
  return {.columns = 32, .stages = 2};
}

/// Keys own tiles: k and v; q and dout stream, with four numbers of each query.
[[nodiscard]] constexpr HopperShape hopper_key_gradient_shape(int dim) {
  if (dim <= 128) return {.columns = 64, .stages = 4};
  return {.columns = 32, .stages = 2};
}

/// The kernel of all gradients: as over keys alone, in fewer stages where sums of queries take
/// their place.
[[nodiscard]] constexpr HopperShape hopper_gradient_shape(int dim) {
  if (dim <= 64) return {.columns = 64, .stages = 4};
  return {.columns = 64, .stages = 2};
}

/// Whether there is such a kernel: sums of both owned tiles, dots of both and sums of queries are
/// too much for the registers at d = 256.
[[nodiscard]] constexpr bool hopper_sums_all_gradients(int dim) {
  return dim <= 128;
}

/// Warps that add its sums of queries, of a step each in turn.
inline constexpr int hopper_gradient_adders = 2;

/// What it has in shared memory between tiles and numbers: gradients of logits of two steps, and
/// sums of queries of one for each of those warps.
[[nodiscard]] constexpr int hopper_gradient_logit_bytes(int dim) {
  return HopperShape::rows * hopper_gradient_shape(dim).columns * 2;
}
[[nodiscard]] constexpr int hopper_gradient_sum_bytes(int dim) {
  return hopper_gradient_shape(dim).columns * dim * 4;
}

[[nodiscard]] constexpr int hopper_gradient_more_bytes(int dim) {
  return 2 * hopper_gradient_logit_bytes(dim) +
         hopper_gradient_adders * hopper_gradient_sum_bytes(dim);
}

/// All of it: the sums of each such warp have two barriers and a note, every stage has two notes,
/// and there are two tickets, each with two barriers.
[[nodiscard]] constexpr int hopper_gradient_shared_bytes(int dim) {
  return hopper_gradient_shape(dim).shared_bytes(2 * dim, 2, 1, 4) +
         hopper_gradient_more_bytes(dim) +
         16 * (2 * hopper_gradient_adders + 2 * hopper_gradient_shape(dim).stages + 4);
}

}  // namespace annulus::kernels::gpu
