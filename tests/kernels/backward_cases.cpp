// The backward pass of every backend: large logits, and how exact it is.
#include "kernels/kernel_suite.hpp"
#include "support/rounded_factors.hpp"

namespace annulus::test {
namespace {

TEST_P(BackwardKernel, LargeLogits) {
  const Problem problem{
      .head_dim = 16, .documents = Documents::single(131), .mask = Mask::causal()};
  for (const double size : {30.0, 1e3}) {
    expect_gradients(random_problem<float>(problem, 11, size), in_one_and_three_shards,
                     Sharpness::any);
  }
}

// And so for any number of steps of a ring: sums have their type from the first to the last.
TEST_P(BackwardKernel, SixteenBitsCostAtMostTwiceWhatRoundingTheWeightsCosts) {
  const Problem problem{.query_heads = 2,
                        .key_heads = 1,
                        .head_dim = 64,
                        .documents = Documents::single(331),
                        .mask = Mask::causal()};
  for_each_rounded_type([&]<class T>() {
    const auto whole = random_problem<T>(problem, 6);
    const auto dout = random_dout<T>(problem);
    const auto exact = direct_gradients_of(whole, dout);
    const auto rounded = with_rounded_factors(whole, dout).gradients;
    for (const int steps : {1, 16}) {
      SCOPED_TRACE(std::string(name_of(data_type_of<T>)) + ", " + std::to_string(steps) + " steps");
      const auto got =
          gradients_by(kernel(), whole, dout, {.key_shards = steps, .statistics = false});
      EXPECT_LE(largest_error(got.dq, exact.dq), 2 * largest_error(rounded.dq, exact.dq));
      EXPECT_LE(largest_error(got.dk, exact.dk), 2 * largest_error(rounded.dk, exact.dk));
      EXPECT_LE(largest_error(got.dv, exact.dv), 2 * largest_error(rounded.dv, exact.dv));
    }
  });
}

}  // namespace
}  // namespace annulus::test
