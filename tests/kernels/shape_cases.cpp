// Both passes of every backend against the definition in fp64: any length, mask, way of cutting the
// sequence, head dimension and scale.
#include "kernels/kernel_suite.hpp"

namespace annulus::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

TEST_P(EitherPass, EveryHeadDimension) {
  for (const Index d : GetParam().kernel.head_dims) {
    expect_exact({.query_heads = 1,
                  .key_heads = 1,
                  .head_dim = d,
                  .documents = Documents::single(149),
                  .mask = Mask::causal()});
  }
}

TEST_P(EitherPass, ValueDimensionsOfTheirOwn) {
  for (const Index value_dim : GetParam().kernel.value_dims) {
    expect_exact({.head_dim = 5, .value_dim = value_dim, .documents = Documents::single(53)});
  }
  expect_exact({.head_dim = 66, .value_dim = 7, .documents = Documents::single(53)});
}

TEST_P(EitherPass, GroupedHeads) {
  for (const Index key_heads : {1, 2, 3, 6}) {
    expect_exact({.query_heads = 6,
                  .key_heads = key_heads,
                  .head_dim = 10,
                  .value_dim = 7,
                  .documents = Documents::single(113),
                  .mask = Mask::causal()});
  }
}

TEST_P(EitherPass, EveryLengthAroundATile) {
  for (const Index length : GetParam().kernel.lengths) {
    for (const auto& mask : {Mask::full(), Mask::causal()}) {
      expect_exact({.head_dim = 8, .documents = Documents::single(length), .mask = mask});
    }
  }
}

TEST_P(EitherPass, EveryMaskAndSharding) {
  for (const auto* mask :
       {"full", "causal", "window:0", "window:5", "window:7,3", "window:0,11", "window:140,60"}) {
    for_each_type(GetParam().kernel.types_of_many, [&]<class T>() {
      expect_exact(
          random_problem<T>(
              {.head_dim = 16, .documents = Documents::single(211), .mask = Mask::parse(mask)}, 3),
          in_shards({1, 2, 5}));
    });
  }
}

TEST_P(EitherPass, PackedDocumentsAndRowsThatSeeNothing) {
  const auto documents = Documents::packed({0, 1, 60, 60, 97, 100}, {0, 3, 20, 31, 90, 90});
  for (const auto& mask : {Mask::full(), Mask::causal(), Mask::window(2, 1)}) {
    expect_exact(
        {.query_heads = 2, .key_heads = 2, .head_dim = 6, .documents = documents, .mask = mask},
        {{},
         {.sharding = Sharding::zigzag, .shards = 3},
         {.sharding = Sharding::striped, .shards = 4}});
  }
}

TEST_P(EitherPass, MoreQueriesThanKeysAndTheReverse) {
  for (const auto& mask : {Mask::full(), Mask::causal(), Mask::window(100, 30)}) {
    for (const auto& documents : {Documents::single(211, 67), Documents::single(5, 263)}) {
      expect_exact({.head_dim = 8, .documents = documents, .mask = mask}, in_one_and_three_shards);
    }
  }
}

TEST_P(EitherPass, NegativeAndZeroScales) {
  const Problem problem{.query_heads = 4,
                        .key_heads = 2,
                        .head_dim = 9,
                        .documents = Documents::single(127),
                        .logit_scale = LogitScale::table()};
  for_each_type([&]<class T>() {
    auto whole = random_problem<T>(problem, 5, 4.0);
    for (std::size_t i = 0; i < whole.table.size(); i += 7) whole.table[i] = 0;
    whole.gain = {-2, 0, 1, 0.25};
    expect_exact(whole, in_one_and_three_shards);
  });
}

TEST_P(EitherPass, Sinks) {
  for_each_type([&]<class T>() {
    for (const auto& mask : {Mask::full(), Mask::causal()}) {
      auto whole = random_problem<T>({.query_heads = 6,
                                      .key_heads = 3,
                                      .head_dim = 5,
                                      .documents = Documents::single(137, 101),
                                      .mask = mask},
                                     21, 3.0);
      whole.sink = {0, 2.5, -infinity, -40, 1e4, 90};
      expect_exact(whole, in_one_and_three_shards);
    }
  });
}

}  // namespace
}  // namespace annulus::test
