#include "annulus/base/half.hpp"

#include <algorithm>
#include <cmath>

namespace annulus {
namespace {

/// A format with an implicit one before its fraction, as IEEE 754 lays it out.
struct Format {
  int fraction_bits;
  int largest_exponent;   ///< of a finite number
  int smallest_exponent;  ///< of a normal number
};

std::uint16_t round_to(Format format, double value) {
  const int fraction_bits = format.fraction_bits;
  const int bias = 1 - format.smallest_exponent;
  const int sign = std::signbit(value) ? 0x8000 : 0;
  const int infinity = (format.largest_exponent + bias + 1) << fraction_bits;
  if (std::isnan(value))
    return static_cast<std::uint16_t>(sign | infinity | 1 << (fraction_bits - 1));
  if (std::isinf(value)) return static_cast<std::uint16_t>(sign | infinity);
  if (value == 0) return static_cast<std::uint16_t>(sign);
  const int exponent = std::max(std::ilogb(value), format.smallest_exponent);
  if (exponent > format.largest_exponent) return static_cast<std::uint16_t>(sign | infinity);
  // In units of the last place: exact, and nearbyint rounds ties to even. A subnormal has the
  // exponent of the smallest normal and no implicit one, and what rounds up carries into the
  // exponent, even to infinity.
  const auto units =
      static_cast<int>(std::nearbyint(std::ldexp(std::abs(value), fraction_bits - exponent)));
  const int rounded = units + ((exponent + bias - 1) << fraction_bits);
  return static_cast<std::uint16_t>(sign | std::min(rounded, infinity));
}

}  // namespace

BFloat16::BFloat16(double value)
    : bits(round_to({.fraction_bits = 7, .largest_exponent = 127, .smallest_exponent = -126},
                    value)) {}

Float16::Float16(double value)
    : bits(round_to({.fraction_bits = 10, .largest_exponent = 15, .smallest_exponent = -14},
                    value)) {}

}  // namespace annulus
