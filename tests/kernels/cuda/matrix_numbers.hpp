#pragma once
// The arithmetic of the model's products, on plain arrays. It is compiled with all optimizations
// and without the checks of sanitizers, which would take most of the time of the tests under them.

#include <cstddef>
#include <cstdint>

namespace annulus::test {

/// The numbers of `count` words of T, BFloat16 or Float16.
template <class T>
void convert(const std::uint16_t* words, std::size_t count, float* numbers);

/// sums(i, j) += Sum_k left(i, k) right(k, j), term by term.
void add_products(std::size_t rows, std::size_t terms, std::size_t columns, const float* left,
                  const float* right, float* sums);

/// to(k, j) = from(j, k).
void transpose(std::size_t rows, std::size_t columns, const std::uint16_t* from, std::uint16_t* to);

}  // namespace annulus::test
