// Any dimension, any number of heads, any length, any way of cutting the sequence.
#include "kernels/cpu/test.hpp"

namespace annulus::test {
namespace {

class CpuShapes : public CpuTest {};
INSTANTIATE_TEST_SUITE_P(, CpuShapes, testing::ValuesIn(runnable_targets()), target_of);

TEST_P(CpuShapes, EveryHeadDimension) {
  for (const Index d :
       {1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 64, 65, 96, 127, 128, 129, 255, 256}) {
    expect_exact_on_cpu({.query_heads = 2,
                         .key_heads = 1,
                         .head_dim = d,
                         .documents = Documents::single(101),
                         .mask = Mask::causal()});
  }
}

TEST_P(CpuShapes, ValueDimensionsOfTheirOwn) {
  for (const Index value_dim : {1, 2, 3, 4, 6, 9, 15, 24, 33, 47, 48, 63, 80, 97, 112, 1031}) {
    expect_exact_on_cpu({.query_heads = 1,
                         .key_heads = 1,
                         .head_dim = 5,
                         .value_dim = value_dim,
                         .documents = Documents::single(53)});
  }
}

TEST_P(CpuShapes, LargeHeadDimension) {
  expect_exact_on_cpu({.query_heads = 1,
                       .key_heads = 1,
                       .head_dim = 1100,
                       .value_dim = 3,
                       .documents = Documents::single(59)});
}

// Few queries: chunks of 384 keys (fp32), and tiles of 48 rows that are heads.
TEST_P(CpuShapes, FewQueriesOverManyKeys) {
  for (const Index keys : {1, 2, 95, 383, 385, 1537}) {
    for (const Index queries : {1, 3, 8, 9}) {
      for (const auto* mask : {"full", "causal", "window:500"}) {
        Problem problem{.query_heads = 12,
                        .key_heads = 2,
                        .head_dim = 5,
                        .value_dim = 7,
                        .documents = Documents::single(queries, keys),
                        .mask = Mask::parse(mask)};
        expect_exact_on_cpu(problem, {{.threads = 2}});
        // Whole vectors: one query's heads meet keys that are not packed.
        problem.head_dim = 16;
        problem.value_dim = 48;
        expect_exact_on_cpu(problem, {{.threads = 2}});
      }
    }
  }
  // More chunks than states are held of at the same time.
  expect_exact_on_cpu({.query_heads = 2,
                       .key_heads = 1,
                       .head_dim = 16,
                       .documents = Documents::single(2, 25003),
                       .mask = Mask::causal()});
  expect_exact_on_cpu({.query_heads = 100,
                       .key_heads = 1,
                       .head_dim = 3,
                       .documents = Documents::single(2, 700),
                       .mask = Mask::causal()});
}

TEST_P(CpuShapes, GroupedHeads) {
  for (const Index key_heads : {1, 2, 3, 6}) {
    expect_exact_on_cpu({.query_heads = 6,
                         .key_heads = key_heads,
                         .head_dim = 10,
                         .value_dim = 7,
                         .documents = Documents::single(113),
                         .mask = Mask::causal()});
  }
}

TEST_P(CpuShapes, EveryLengthAroundATile) {
  for (const Index length : {1, 2, 5, 6, 7, 47, 48, 49, 95, 96, 97, 191, 193, 383, 385}) {
    for (const auto& mask : {Mask::full(), Mask::causal()}) {
      expect_exact_on_cpu({.head_dim = 4, .documents = Documents::single(length), .mask = mask});
    }
  }
}

TEST_P(CpuShapes, EveryMaskAndSharding) {
  std::vector<CpuRun> runs;
  for (const auto sharding : all_shardings()) {
    for (const int shards : {1, 2, 3, 5}) {
      runs.push_back({.sharding = sharding, .shards = shards, .reversed = shards % 2 == 0});
    }
  }
  for (const auto* mask :
       {"full", "causal", "window:0", "window:5", "window:7,3", "window:0,11", "window:140,60"}) {
    expect_exact_on_cpu(
        {.head_dim = 3, .documents = Documents::single(307), .mask = Mask::parse(mask)}, runs);
  }
}

TEST_P(CpuShapes, MoreKeysThanArePackedTogether) {
  for (const auto* mask : {"full", "causal", "window:700,600"}) {
    expect_exact_on_cpu(
        {.head_dim = 2, .documents = Documents::single(149, 2411), .mask = Mask::parse(mask)});
  }
  expect_exact_on_cpu(
      {.head_dim = 2, .documents = Documents::single(1201), .mask = Mask::window(30, 10)});
}

TEST_P(CpuShapes, PackedDocumentsAndRowsThatSeeNothing) {
  const auto documents = Documents::packed({0, 1, 60, 60, 137, 140}, {0, 3, 20, 31, 120, 120});
  for (const auto& mask : {Mask::full(), Mask::causal(), Mask::window(2, 1)}) {
    expect_exact_on_cpu(
        {.query_heads = 2, .key_heads = 2, .head_dim = 6, .documents = documents, .mask = mask},
        {{},
         {.sharding = Sharding::zigzag, .shards = 3},
         {.sharding = Sharding::striped, .shards = 4}});
  }
}

}  // namespace
}  // namespace annulus::test
