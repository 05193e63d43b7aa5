#include "kernels/cuda/matrix_numbers.hpp"

#include <vector>

#include "annulus/base/half.hpp"

namespace annulus::test {
namespace {

/// All numbers of a type of 16 bits.
template <class T>
const float* all_numbers() {
  static const std::vector<float> numbers = [] {
    std::vector<float> all(std::size_t{1} << 16);
    for (std::size_t i = 0; i < all.size(); ++i) {
      T number;
      number.bits = static_cast<std::uint16_t>(i);
      all[i] = float{number};
    }
    return all;
  }();
  return numbers.data();
}

}  // namespace

template <class T>
void convert(const std::uint16_t* words, std::size_t count, float* numbers) {
  const float* all = all_numbers<T>();
  for (std::size_t i = 0; i < count; ++i) numbers[i] = all[words[i]];
}

template void convert<BFloat16>(const std::uint16_t* words, std::size_t count, float* numbers);
template void convert<Float16>(const std::uint16_t* words, std::size_t count, float* numbers);

void add_products(std::size_t rows, std::size_t terms, std::size_t columns, const float* left,
                  const float* right, float* sums) {
  for (std::size_t i = 0; i < rows; ++i) {
    float* row = sums + i * columns;
    for (std::size_t k = 0; k < terms; ++k) {
      const float factor = left[i * terms + k];
      const float* term = right + k * columns;
      for (std::size_t j = 0; j < columns; ++j) row[j] += factor * term[j];
    }
  }
}

void transpose(std::size_t rows, std::size_t columns, const std::uint16_t* from,
               std::uint16_t* to) {
  for (std::size_t j = 0; j < rows; ++j) {
    for (std::size_t k = 0; k < columns; ++k) to[k * rows + j] = from[j * columns + k];
  }
}

}  // namespace annulus::test
