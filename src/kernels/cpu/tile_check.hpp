#pragma once
// Whether tile registers do what the kernels take them to do.

#include <array>

#include "annulus/base/data_type.hpp"
#include "kernels/cpu/tile_registers.hpp"

namespace annulus::kernels {

/// Multiplies whole numbers, whose sums are exact, with every register and with pairs left over.
/// For machines that nobody has tried: instructions are as a manual says, and a model of the tests.
template <class Registers>
[[nodiscard]] bool multiplies_as_expected() {
  constexpr Index rest = 3;
  constexpr Index pairs = tile_size + rest;
  std::array<BFloat16, tile_size * 2 * pairs> left;   // (rows, pairs)
  std::array<BFloat16, tile_size * 2 * pairs> right;  // (pairs, columns)
  const auto left_of = [](Index row, Index j) {
    return static_cast<double>((3 * row + j) % 7 - 3);
  };
  const auto right_of = [](Index j, Index column) {
    return static_cast<double>((5 * j + column) % 11 - 4);
  };
  for (Index i = 0; i < tile_size; ++i) {
    for (Index j = 0; j < 2 * pairs; ++j) {
      left[static_cast<std::size_t>(i * 2 * pairs + j)] = BFloat16(left_of(i, j));
      right[static_cast<std::size_t>((j / 2 * tile_size + i) * 2 + j % 2)] =
          BFloat16(right_of(j, i));
    }
  }
  constexpr Index pair_bytes = 2 * sizeof(BFloat16);
  Registers registers(tile_shapes(rest));
  registers.template load<TileRegister::left>(left.data(), pairs * pair_bytes);
  registers.template load<TileRegister::right>(right.data(), tile_size * pair_bytes);
  registers.template load<TileRegister::left_rest>(left.data() + 2 * tile_size, pairs * pair_bytes);
  registers.template load<TileRegister::right_rest>(right.data() + 2 * tile_size * tile_size,
                                                    tile_size * pair_bytes);
  const auto is_right = [&]<TileRegister sum>() {
    registers.template zero<sum>();
    registers.template multiply<sum, TileRegister::left, TileRegister::right>();
    registers.template multiply<sum, TileRegister::left_rest, TileRegister::right_rest>();
    std::array<float, tile_size * tile_size> sums;
    registers.template store<sum>(sums.data(), tile_size * Index{sizeof(float)});
    for (Index row = 0; row < tile_size; ++row) {
      for (Index column = 0; column < tile_size; ++column) {
        double expected = 0;
        for (Index j = 0; j < 2 * pairs; ++j) expected += left_of(row, j) * right_of(j, column);
        if (static_cast<double>(sums[static_cast<std::size_t>(row * tile_size + column)]) !=
            expected) {
          return false;
        }
      }
    }
    return true;
  };
  return is_right.template operator()<TileRegister::sum0>() &&
         is_right.template operator()<TileRegister::sum1>() &&
         is_right.template operator()<TileRegister::sum2>() &&
         is_right.template operator()<TileRegister::sum3>();
}

}  // namespace annulus::kernels
