#include "annulus/attention/problem.hpp"

#include <gtest/gtest.h>

#include "annulus/base/error.hpp"

namespace annulus {
namespace {

TEST(Problem, SenselessOnesAreRefused) {
  EXPECT_NO_THROW(validate({}));
  EXPECT_NO_THROW(validate({.query_heads = 6, .key_heads = 3}));
  EXPECT_THROW(validate({.query_heads = 6, .key_heads = 4}), InputError);
  EXPECT_THROW(validate({.query_heads = 0}), InputError);
  EXPECT_THROW(validate({.key_heads = 0}), InputError);
  EXPECT_THROW(validate({.head_dim = 0}), InputError);
  EXPECT_THROW(validate({.value_dim = -1}), InputError);
}

TEST(Problem, PlacesAlignAtTheEnd) {
  const Problem decode{.documents = Documents::single(2, 10), .mask = Mask::causal()};
  EXPECT_EQ(place_of(decode, 0, 1).position, 9);
  EXPECT_EQ(place_of(decode, 0, 1).visible, 10);
  EXPECT_EQ(place_of(decode, 0, 0).visible, 9);
  EXPECT_EQ(place_of(decode, 0, 0).document_length, 10);
  const Problem more_queries{.documents = Documents::single(5, 3), .mask = Mask::causal()};
  EXPECT_EQ(place_of(more_queries, 0, 0).position, -2);
  EXPECT_EQ(place_of(more_queries, 0, 0).visible, 0);
  EXPECT_EQ(place_of(more_queries, 0, 2).visible, 1);
}

TEST(Problem, PlacesCountFromTheStartOfTheDocument) {
  const Problem packed{.documents = Documents::packed({0, 3, 10}), .mask = Mask::window(1, 1)};
  EXPECT_EQ(place_of(packed, 1, 0).position, 0);
  EXPECT_EQ(place_of(packed, 1, 0).visible, 2);
  EXPECT_EQ(place_of(packed, 1, 3).visible, 3);
  EXPECT_EQ(place_of(packed, 1, 3).document_length, 7);
}

}  // namespace
}  // namespace annulus
