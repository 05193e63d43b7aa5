#pragma once
// The 16-bit floating point types: storage, and conversion in both directions.

#include <bit>
#include <cstdint>

namespace annulus {

/// bfloat16: 8 bits of exponent, 7 of fraction; the upper half of an fp32.
struct BFloat16 {
  std::uint16_t bits = 0;

  BFloat16() = default;
  /// The nearest bfloat16, ties to even, in one rounding; too large becomes infinity, NaN stays.
  explicit BFloat16(double value);
  /// Exact.
  constexpr operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }
};

/// IEEE binary16: 5 bits of exponent, 10 of fraction.
struct Float16 {
  std::uint16_t bits = 0;

  Float16() = default;
  /// The nearest binary16, ties to even, in one rounding; too large becomes infinity, NaN stays.
  explicit Float16(double value);
  /// Exact.
  constexpr operator float() const {
    // Exponent and fraction in fp32's places, as an fp32 whose exponent is too small by 112.
    const auto shifted = static_cast<std::uint32_t>(bits & 0x7fffU) << 13;
    float magnitude = std::bit_cast<float>(shifted) * 0x1p112F;
    if ((bits & 0x7c00U) == 0x7c00U) magnitude = std::bit_cast<float>(shifted | 0x7f800000U);
    const auto sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
};

}  // namespace annulus
