#include "kernels/cpu/pair_products.hpp"

#include <cmath>
#include <cstring>
#include <limits>

#include "annulus/base/data_type.hpp"

namespace annulus::test {
namespace {

constexpr std::size_t most = 16;
using Numbers = std::array<std::array<float, 2 * most>, most>;

float without_denormals(float value) {
  return std::abs(value) < std::numeric_limits<float>::min() ? std::copysign(0.0F, value) : value;
}

/// Rows of so many numbers.
void read_factors(const ModelTile& tile, std::size_t rows, std::size_t count, Numbers& numbers) {
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t i = 0; i < count; ++i) {
      BFloat16 value;
      std::memcpy(&value, &tile[r * model_row_size + sizeof(value) * i], sizeof(value));
      numbers[r][i] = without_denormals(static_cast<float>(value));
    }
  }
}

}  // namespace

void add_pair_products(std::size_t rows, std::size_t pairs, std::size_t columns,
                       const ModelTile& left, const ModelTile& right, ModelTile& sum) {
  Numbers lefts;
  Numbers rights;
  read_factors(left, rows, 2 * pairs, lefts);
  read_factors(right, pairs, 2 * columns, rights);
  for (std::size_t r = 0; r < rows; ++r) {
    std::array<float, 2 * most> parts{};
    for (std::size_t j = 0; j < pairs; ++j) {
      for (std::size_t c = 0; c < 2 * columns; ++c) {
        parts[c] = without_denormals(std::fma(lefts[r][2 * j + c % 2], rights[j][c], parts[c]));
      }
    }
    for (std::size_t c = 0; c < columns; ++c) {
      float total = 0;
      auto* place = &sum[r * model_row_size + sizeof(total) * c];
      std::memcpy(&total, place, sizeof(total));
      total = without_denormals(total + without_denormals(parts[2 * c] + parts[2 * c + 1]));
      std::memcpy(place, &total, sizeof(total));
    }
  }
}

}  // namespace annulus::test
