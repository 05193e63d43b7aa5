#pragma once
// How a product finds its matrices in shared memory.
//
// A tile lies in slabs of 64 columns of 16 bits: 128 bytes a row, rows end to end. Within 8 rows,
// 1024 bytes, the chunks of 16 bytes of row r are turned by r ("128-byte swizzle"), as TMA does
// with CU_TENSOR_MAP_SWIZZLE_128B: bits 4 to 6 of an address are xored with its bits 7 to 9, so
// tiles begin at multiples of 1024 and the hardware turns addresses after it has added offsets.
//
// Fields (PTX ISA, "Asynchronous Warpgroup Level Matrix Shared Memory Layout", "Matrix Descriptor
// Format"; the same in CUTLASS, cute/arch/mma_sm90_desc.hpp), in units of 16 bytes:
//   bits 0-13 start address   16-29 leading dimension offset   32-45 stride dimension offset
//   bits 49-51 base offset, 0 where the pattern begins at a multiple of 1024
//   bits 62-63 swizzle: 1 is that of 128 bytes
// What the offsets mean (PTX ISA, "Strides"; CUTLASS, cute/atom/mma_traits_sm90_gmma.hpp,
// "canonical layouts"):
//   terms along a row ("K-major"): stride is from 8 rows to the next 8; leading is not used
//   columns along a row ("MN-major"): stride is from 8 terms to the next 8, leading from 64 columns
//   to the next 64

#include "kernels/cuda/device/hopper/hopper_instructions.hpp"

namespace annulus::kernels::gpu {

/// Columns of a slab, and bytes of one of its rows.
inline constexpr int slab_columns = 64;
inline constexpr int slab_row_bytes = 128;

/// Terms of one product, and rows that a warpgroup owns.
inline constexpr int product_terms = 16;
inline constexpr int product_rows = 64;

/// Where a slab begins in a tile of `tile_rows` rows.
template <int tile_rows>
[[nodiscard]] ANNULUS_DEVICE SharedOffset slab_at(int slab) {
  return static_cast<SharedOffset>(slab * tile_rows * slab_row_bytes);
}

/// Where a chunk of 16 bytes of a row lies in a slab.
[[nodiscard]] ANNULUS_DEVICE SharedOffset slab_chunk(int row, int chunk) {
  return static_cast<SharedOffset>(row * slab_row_bytes + (chunk ^ row % 8) * 16);
}

/// Of a matrix that begins `further` bytes into a tile. Addresses of shared memory have 18 bits, so
/// nothing is carried from a field to the next, and a product takes one addition to the low word of
/// a number that those of the same tile have in common.
[[nodiscard]] ANNULUS_DEVICE MatrixDescriptor descriptor_of(SharedOffset tile, int further,
                                                            int leading, int stride) {
  const auto field = [](int bytes) { return static_cast<std::uint32_t>(bytes) >> 4; };
  const std::uint32_t low = (shared_address(tile) >> 4) + (field(further) | field(leading) << 16);
  const std::uint32_t high = field(stride) | 1U << 30;
  return MatrixDescriptor{high} << 32 | low;
}

/// Rows of a tile of `tile_rows` rows, of which a product sums over 16 elements of each from
/// `element` on. `tile`: where the tile begins, or a multiple of 8 rows further on.
template <int tile_rows>
[[nodiscard]] ANNULUS_DEVICE MatrixDescriptor rows_descriptor(SharedOffset tile, int element) {
  const int slab = element / slab_columns * tile_rows * slab_row_bytes;
  return descriptor_of(tile, slab + element % slab_columns * 2, 16, 8 * slab_row_bytes);
}

/// The columns of a tile of `tile_rows` rows, which a product sums over 16 rows of from `row` on.
/// `tile`: where the tile begins, or a slab of it.
template <int tile_rows>
[[nodiscard]] ANNULUS_DEVICE MatrixDescriptor columns_descriptor(SharedOffset tile, int row) {
  return descriptor_of(tile, row * slab_row_bytes, tile_rows * slab_row_bytes, 8 * slab_row_bytes);
}

}  // namespace annulus::kernels::gpu
