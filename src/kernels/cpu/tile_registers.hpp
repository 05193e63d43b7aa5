#pragma once
// The eight tile registers of AMX: matrices of bf16 and of their fp32 sums.

#include <array>
#include <cstdint>

#include "annulus/base/index.hpp"

namespace annulus::kernels {

/// Rows of every tile, and fp32 numbers or pairs of bf16 in a row, at most.
inline constexpr Index tile_size = 16;

/// Which register holds what: sums of up to four tiles, one factor of each side, and one of each
/// for the pairs that are left over where their number is no multiple of tile_size.
enum class TileRegister { sum0, sum1, sum2, sum3, left, right, left_rest, right_rest };

/// As LDTILECFG reads it (Intel 64 and IA-32 Architectures Software Developer's Manual, LDTILECFG).
struct TileShapes {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::array<std::uint8_t, 14> reserved{};
  std::array<std::uint16_t, 16> row_bytes{};
  std::array<std::uint8_t, 16> rows{};
};
static_assert(sizeof(TileShapes) == 64);

/// All of them whole, but for the factors of `rest` pairs, which are none where that is 0.
[[nodiscard]] constexpr TileShapes tile_shapes(Index rest) {
  TileShapes shapes;
  for (std::size_t tile = 0; tile < 6; ++tile) {
    shapes.row_bytes[tile] = 4 * tile_size;
    shapes.rows[tile] = tile_size;
  }
  const auto left = static_cast<std::size_t>(TileRegister::left_rest);
  const auto right = static_cast<std::size_t>(TileRegister::right_rest);
  if (rest > 0) {
    shapes.row_bytes[left] = static_cast<std::uint16_t>(4 * rest);
    shapes.rows[left] = tile_size;
    shapes.row_bytes[right] = 4 * tile_size;
    shapes.rows[right] = static_cast<std::uint8_t>(rest);
  }
  return shapes;
}

#if defined(__x86_64__)
/// The registers of the calling thread, in these shapes as long as it lives. Only where the machine
/// has AMX-BF16 and the process may use it, see bf16.hpp. Instructions rather than intrinsics:
/// those are only for functions that are compiled for such machines.
class TileRegisters {
 public:
  explicit TileRegisters(const TileShapes& shapes) { asm volatile("ldtilecfg %0" : : "m"(shapes)); }
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;
  ~TileRegisters() { asm volatile("tilerelease"); }

  template <TileRegister tile>
  void zero() {
    asm volatile("tilezero %%tmm%c0" : : "i"(tile));
  }
  /// Rows lie `stride` bytes apart.
  template <TileRegister tile>
  void load(const void* from, Index stride) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(tile) : "memory");
  }
  template <TileRegister tile>
  void store(void* to, Index stride) const {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(tile) : "memory");
  }
  /// sum(r, c) += Sum_j left(r, j).first right(j, c).first + left(r, j).second right(j, c).second
  /// over pairs j. Denormal numbers, of the inputs and of the result, are taken as zero.
  template <TileRegister sum, TileRegister left, TileRegister right>
  void multiply() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(left), "i"(right));
  }
};
#endif

}  // namespace annulus::kernels
