#include "annulus/plan/pass.hpp"

#include <gtest/gtest.h>

#include "annulus/base/error.hpp"

namespace annulus {
namespace {

TEST(Pass, NamesAreReadBack) {
  EXPECT_EQ(name_of(Pass::forward), "forward");
  EXPECT_EQ(name_of(Pass::backward), "backward");
  for (const auto pass : {Pass::forward, Pass::backward})
    EXPECT_EQ(parse_pass(name_of(pass)), pass);
  EXPECT_THROW((void)parse_pass("sideways"), InputError);
}

}  // namespace
}  // namespace annulus
