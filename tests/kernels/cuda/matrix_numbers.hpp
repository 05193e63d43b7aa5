#pragma once
// The arithmetic of the model's products, on plain arrays. It is compiled with all optimizations
// and without the checks of sanitizers, which would take most of the time of the tests under them.

#include <cstddef>
#include <cstdint>

namespace annulus::test {

// Where the fragments of a lane lie, the same for mma.m16n8k16 and for the rows of a warp of
// wgmma.m64nNk16 (PTX ISA, "Matrix Fragments" and "Register Fragments").

/// Of register r of a left operand, the first of its two words: registers 1 and 3 hold rows 8 to
/// 15, registers 2 and 3 terms 8 to 15, of 16 rows of 16 terms.
[[nodiscard]] constexpr std::size_t place_of_pair(std::size_t lane, std::size_t r) {
  return (lane / 4 + r % 2 * 8) * 16 + lane % 4 * 2 + r / 2 * 8;
}
/// Of number i of the sums, 16 rows of so many columns.
[[nodiscard]] constexpr std::size_t place_of_sum(std::size_t lane, std::size_t i,
                                                 std::size_t columns) {
  return (lane / 4 + i / 2 % 2 * 8) * columns + i / 4 * 8 + lane % 4 * 2 + i % 2;
}

/// The numbers of `count` words of T, BFloat16 or Float16.
template <class T>
void convert(const std::uint16_t* words, std::size_t count, float* numbers);

/// sums(i, j) += Sum_k left(i, k) right(k, j), term by term.
void add_products(std::size_t rows, std::size_t terms, std::size_t columns, const float* left,
                  const float* right, float* sums);

/// to(k, j) = from(j, k).
void transpose(std::size_t rows, std::size_t columns, const std::uint16_t* from, std::uint16_t* to);

}  // namespace annulus::test
