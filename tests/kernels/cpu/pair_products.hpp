#pragma once
// The arithmetic of the model of AMX, on plain arrays. It is compiled with all optimizations and
// without the checks of sanitizers, which would take most of the time of the tests under them.

#include <array>
#include <cstddef>
#include <cstdint>

namespace annulus::test {

inline constexpr std::size_t model_row_size = 64;
/// The bytes of a register: 16 rows.
using ModelTile = std::array<std::uint8_t, 16 * model_row_size>;

/// sum(r, c) += Sum_j left(r, 2 j) right(j, 2 c) + left(r, 2 j + 1) right(j, 2 c + 1) for fp32
/// `sum` and bf16 factors, at most 16 `rows`, `pairs` and `columns`. As the manual has it
/// (TDPBF16PS): firsts and seconds of pairs are summed apart, by multiply-adds that round once, and
/// added to each other and then to the sum; what is denormal is zero.
void add_pair_products(std::size_t rows, std::size_t pairs, std::size_t columns,
                       const ModelTile& left, const ModelTile& right, ModelTile& sum);

}  // namespace annulus::test
