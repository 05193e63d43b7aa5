// Shapes at which the cpu kernels change what they do.
#include "kernels/cpu/kernels_under_test.hpp"

namespace annulus::test {
namespace {

class CpuShapes : public ForwardKernel {};
INSTANTIATE_TEST_SUITE_P(, CpuShapes, testing::ValuesIn(cpu_kernels()),
                         name_of_test<KernelUnderTest>);

TEST_P(CpuShapes, LargeHeadDimension) {
  expect_outputs({.query_heads = 1,
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
        expect_outputs(problem, {{.threads = 2}});
        // Whole vectors: one query's heads meet keys that are not packed.
        problem.head_dim = 16;
        problem.value_dim = 48;
        expect_outputs(problem, {{.threads = 2}});
      }
    }
  }
  // More chunks than states are held of at the same time.
  expect_outputs({.query_heads = 2,
                  .key_heads = 1,
                  .head_dim = 16,
                  .documents = Documents::single(2, 25003),
                  .mask = Mask::causal()});
  expect_outputs({.query_heads = 100,
                  .key_heads = 1,
                  .head_dim = 3,
                  .documents = Documents::single(2, 700),
                  .mask = Mask::causal()});
}

TEST_P(CpuShapes, MoreKeysThanArePackedTogether) {
  for (const auto* mask : {"full", "causal", "window:700,600"}) {
    expect_outputs(
        {.head_dim = 2, .documents = Documents::single(149, 2411), .mask = Mask::parse(mask)});
  }
  expect_outputs(
      {.head_dim = 2, .documents = Documents::single(1201), .mask = Mask::window(30, 10)});
}

}  // namespace
}  // namespace annulus::test
