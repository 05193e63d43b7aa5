#include "annulus/base/random.hpp"

#include <cmath>
#include <numbers>

#include <Random123/philox.h>

namespace annulus {

void fill_normal(std::span<double> values, std::uint64_t seed, std::uint64_t stream,
                 std::uint64_t row) {
  r123::Philox4x64 generator;
  for (std::size_t at = 0; at < values.size(); at += 4) {
    const auto bits = generator({{row, at / 4, stream, 0}}, {{seed, 0}});
    for (std::size_t pair = 0; pair < 4 && at + pair < values.size(); pair += 2) {
      // (0, 1], so that the logarithm is finite, and [0, 1).
      const double radius_part = static_cast<double>((bits[pair] >> 11) + 1) * 0x1p-53;
      const double angle_part = static_cast<double>(bits[pair + 1] >> 11) * 0x1p-53;
      const double radius = std::sqrt(-2 * std::log(radius_part));
      const double angle = 2 * std::numbers::pi * angle_part;
      values[at + pair] = radius * std::cos(angle);
      if (at + pair + 1 < values.size()) values[at + pair + 1] = radius * std::sin(angle);
    }
  }
}

}  // namespace annulus
