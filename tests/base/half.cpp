#include "annulus/base/half.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "annulus/base/data_type.hpp"

namespace annulus {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

template <class T>
class Half : public testing::Test {
 protected:
  static T from_bits(int bits) {
    T value;
    value.bits = static_cast<std::uint16_t>(bits);
    return value;
  }
};
using Types = testing::Types<BFloat16, Float16>;
TYPED_TEST_SUITE(Half, Types);

TYPED_TEST(Half, EveryNumberSurvives) {
  for (int bits = 0; bits <= 0xffff; ++bits) {
    const float value = TestFixture::from_bits(bits);
    const TypeParam again(value);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(static_cast<float>(again)));
    } else {
      EXPECT_EQ(again.bits, bits);
    }
  }
}

/// Between neighbours: the nearer one, and of two that are as near the even one.
TYPED_TEST(Half, RoundsToNearestEven) {
  for (int bits = 0;; ++bits) {
    const double low = TestFixture::from_bits(bits);
    double high = TestFixture::from_bits(bits + 1);
    const bool last = std::isinf(high);
    if (last) high = low + (low - TestFixture::from_bits(bits - 1));
    const double middle = low + (high - low) / 2;
    EXPECT_EQ(TypeParam(middle).bits, bits % 2 == 0 ? bits : bits + 1);
    // A double of its own, which a detour through fp32 would round to the middle.
    EXPECT_EQ(TypeParam(std::nextafter(middle, 0)).bits, bits);
    EXPECT_EQ(TypeParam(std::nextafter(middle, infinity)).bits, bits + 1);
    EXPECT_EQ(TypeParam(-std::nextafter(middle, infinity)).bits, (bits + 1) | 0x8000);
    if (last) break;
  }
}

TYPED_TEST(Half, UnitRoundoffIsThatOfOne) {
  const double u = unit_roundoff(data_type_of<TypeParam>);
  EXPECT_EQ(static_cast<float>(TypeParam(1 + u)), 1);
  EXPECT_EQ(static_cast<float>(TypeParam(1 + 1.01 * u)), 1 + 2 * u);
}

TEST(HalfRange, IsThatOfTheFormats) {
  EXPECT_EQ(static_cast<float>(Float16(65504.0)), 65504);
  EXPECT_TRUE(std::isinf(static_cast<float>(Float16(65520.0))));
  EXPECT_EQ(static_cast<float>(Float16(-1e300)), -infinity);
  EXPECT_EQ(static_cast<float>(Float16(0x1p-24)), 0x1p-24F);
  EXPECT_EQ(Float16(0x1p-26).bits, 0);
  EXPECT_EQ(Float16(-0.0).bits, 0x8000);
  EXPECT_EQ(static_cast<float>(BFloat16(3.0e38)), 0x1.c4p127F);
  EXPECT_TRUE(std::isinf(static_cast<float>(BFloat16(3.4e38 * 1.01))));
  EXPECT_TRUE(std::isnan(static_cast<float>(BFloat16(std::nan("")))));
}

}  // namespace
}  // namespace annulus
