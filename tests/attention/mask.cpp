#include "annulus/attention/mask.hpp"

#include <gtest/gtest.h>

#include "annulus/base/error.hpp"

namespace annulus {
namespace {

TEST(Mask, ParseReadsWhatNameWrites) {
  for (const auto* text : {"full", "causal", "window:0", "window:7", "window:7,3", "window:0,1"}) {
    EXPECT_EQ(Mask::parse(text).name(), text);
    EXPECT_EQ(Mask::parse(Mask::parse(text).name()), Mask::parse(text));
  }
  EXPECT_EQ(Mask::parse("window:5,0"), Mask::parse("window:5"));
}

TEST(Mask, BadTextsAreRefused) {
  for (const auto* text :
       {"", "Full", "causal ", "window", "window:", "window:-1", "window:1,", "window:1,-2",
        "window:1,2,3", "window:1.5", "window: 1", "window:99999999999999999999"}) {
    EXPECT_THROW((void)Mask::parse(text), InputError) << text;
  }
}

TEST(Mask, BadNumbersAreToldTheirLimits) {
  try {
    (void)Mask::parse("window:3,9999999999999999999");
    FAIL() << "nothing was thrown";
  } catch (const InputError& error) {
    EXPECT_STREQ(
        error.what(),
        "mask 'window:3,9999999999999999999': RIGHT is '9999999999999999999'; expected a whole "
        "number from 0 to 2305843009213693951");
  }
}

TEST(Mask, VisibleMatchesTheDefinitionPairByPair) {
  for (const auto& mask : {Mask::full(), Mask::causal(), Mask::window(0), Mask::window(3),
                           Mask::window(2, 5), Mask::window(0, 1)}) {
    for (Index length : {0, 1, 2, 7}) {
      for (Index position = -9; position < 16; ++position) {
        const auto visible = mask.visible(position, length);
        for (Index key = 0; key < length; ++key) {
          const bool sees = -mask.left() <= key - position && key - position <= mask.right();
          EXPECT_EQ(visible.contains(key), sees) << mask.name() << ' ' << position << ' ' << key;
        }
        EXPECT_GE(visible.begin, 0);
        EXPECT_LE(visible.end, length);
      }
    }
  }
}

TEST(Mask, LongestWindowsDoNotOverflow) {
  const auto mask = Mask::window(Mask::unbounded, Mask::unbounded);
  EXPECT_EQ(mask.visible(Index{1} << 40, Index{1} << 41), (Interval{0, Index{1} << 41}));
}

}  // namespace
}  // namespace annulus
