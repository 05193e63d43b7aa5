#include "base/range.hpp"

#include <gmock/gmock.h>

#include "annulus/base/error.hpp"
#include "annulus/base/index.hpp"

namespace annulus {
namespace {

using testing::HasSubstr;

template <class Range>
std::string message_of(const char* text, const Range& range) {
  try {
    (void)read_number(text, range);
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Range, AWholeNumberIsAllOfTheText) {
  const WholeRange<Index> range{-5, 4096};
  EXPECT_EQ(read_number("4096", range), 4096);
  EXPECT_EQ(read_number("-5", range), -5);
  EXPECT_EQ(read_number("010", range), 10);
  for (const auto* text : {"", " ", " 7", "7 ", "7,", "+7", "7.0", "1e3", "0x10", "seven", "4097",
                           "-6", "99999999999999999999", "--1"}) {
    EXPECT_EQ(message_of(text, range),
              std::string("'") + text + "'; expected a whole number from -5 to 4096");
  }
}

TEST(Range, UnsignedNumbersHaveNoSign) {
  EXPECT_THAT(message_of("-1", WholeRange<std::uint64_t>{}), HasSubstr("from 0 to"));
  EXPECT_EQ(read_number("18446744073709551615", WholeRange<std::uint64_t>{}), ~std::uint64_t{0});
}

TEST(Range, NumbersAreFinite) {
  for (const auto* text : {"", "nan", "inf", "-inf", "1e400", "0x1p3", "1,5", "1 "}) {
    EXPECT_EQ(message_of(text, RealRange{}), std::string("'") + text + "'; expected a number");
  }
  EXPECT_EQ(read_number("1e-3", RealRange{}), 1e-3);
}

TEST(Range, EndsAreInOrOut) {
  const RealRange cosines{.least = 0, .most = 1, .without_most = true};
  EXPECT_EQ(read_number("0", cosines), 0);
  EXPECT_EQ(message_of("1", cosines), "'1'; expected a number: 0 or more and below 1");
  EXPECT_EQ(message_of("1", RealRange::above(1)), "'1'; expected a number: above 1");
  EXPECT_EQ(message_of("-1", RealRange{.least = 0, .most = 2}), "'-1'; expected a number: 0 to 2");
}

}  // namespace
}  // namespace annulus
