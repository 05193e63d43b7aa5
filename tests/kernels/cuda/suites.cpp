// The cases of every backend on the model of a thread block, or where ANNULUS_TEST_ON_GPU is set,
// on a GPU; and that no order of threads matters.
#include "kernels/cuda/kernel_under_test.hpp"

namespace annulus::test {

INSTANTIATE_TEST_SUITE_P(, ForwardKernel, testing::Values(cuda_under_test()),
                         name_of_test<KernelUnderTest>);
INSTANTIATE_TEST_SUITE_P(, BackwardKernel, testing::Values(cuda_under_test()),
                         name_of_test<KernelUnderTest>);
#if !ANNULUS_TEST_ON_GPU
INSTANTIATE_TEST_SUITE_P(TwoKernels, BackwardKernel, testing::Values(two_kernels_under_test()),
                         name_of_test<KernelUnderTest>);
#endif
INSTANTIATE_TEST_SUITE_P(, EitherPass, testing::ValuesIn(both_passes({cuda_under_test()})),
                         name_of_test<PassUnderTest>);

namespace {

/// Calls check.operator()<T>(problem) for every kernel.
template <class Check>
void for_each_kernel(Index length, const Mask& mask, Check check) {
  for (const Index d : {64, 96, 128, 256}) {
    const Problem problem{.query_heads = 2,
                          .key_heads = 1,
                          .head_dim = d,
                          .documents = Documents::single(length),
                          .mask = mask};
    check.template operator()<float>(problem);
    check.template operator()<BFloat16>(problem);
  }
}

// A barrier or a wait too few gives a wrong result in some order.
TEST(CudaOrder, OfWarpsDoesNotChangeABitForward) {
  for_each_kernel(307, Mask::window(150, 20), []<class T>(const Problem& problem) {
    const auto whole = random_problem<T>(problem, 8);
    const KernelRun run{.key_shards = 3, .by_states = true};
    const auto first = attend_by(*open_cuda({}), whole, run);
    for (const auto& schedule : other_model_schedules) {
      const auto other = attend_by(*open_cuda(schedule), whole, run);
      EXPECT_EQ(first.out.values, other.out.values);
      EXPECT_EQ(first.lse.values, other.lse.values);
      EXPECT_EQ(first.statistic("entropy").values, other.statistic("entropy").values);
    }
  });
}

// Tiles of few rows, in parts.
TEST(CudaOrder, OfWarpsDoesNotChangeABitOfFewQueries) {
  for (const Index d : {128, 256}) {
    const Problem problem{.query_heads = 6,
                          .key_heads = 2,
                          .head_dim = d,
                          .documents = Documents::single(3, 701),
                          .mask = Mask::causal()};
    const auto check = [&]<class T>() {
      const auto whole = random_problem<T>(problem, 8);
      const auto first = attend_by(*open_cuda({}), whole);
      for (const auto& schedule : other_model_schedules) {
        const auto other = attend_by(*open_cuda(schedule), whole);
        EXPECT_EQ(first.out.values, other.out.values);
        EXPECT_EQ(first.lse.values, other.lse.values);
      }
    };
    check.operator()<float>();
    check.operator()<BFloat16>();
  }
}

// Blocks that add to the same sums, whichever starts or comes first: tiles of keys that meet the
// same queries, in part and as a whole, of two heads for each of two.
TEST(CudaOrder, OfBlocksDoesNotChangeABitOfTheGradientsOfQueries) {
  for (const Index d : {64, 96, 128}) {
    const Problem problem{.query_heads = 4,
                          .key_heads = 2,
                          .head_dim = d,
                          .documents = Documents::packed({0, 270, 341}),
                          .mask = Mask::causal()};
    const auto whole = random_problem<BFloat16>(problem, 8);
    const auto dout = random_dout<BFloat16>(problem);
    const auto first = gradients_by(*open_cuda({}), whole, dout);
    for (const auto& schedule : other_model_schedules) {
      const auto other = gradients_by(*open_cuda(schedule), whole, dout);
      EXPECT_EQ(first.dq.values, other.dq.values);
      EXPECT_EQ(first.dk.values, other.dk.values);
      EXPECT_EQ(first.dv.values, other.dv.values);
    }
  }
}

#if ANNULUS_TEST_ON_GPU
// More blocks than a GPU runs at once, which wait for one another as it comes; and of one head,
// whose tiles would wait too long, two kernels. So it is with those for Hopper, too, where they are
// taken.
TEST(CudaOrder, OfManyBlocksDoesNotChangeABitOfGradients) {
  for (const Index d : {64, 96, 128}) {
    for (const Index heads : {1, 24}) {
      const Problem problem{.query_heads = heads,
                            .key_heads = heads,
                            .head_dim = d,
                            .documents = Documents::packed({0, 2500, 2570, 5000}),
                            .mask = Mask::causal()};
      const auto whole = random_problem<BFloat16>(problem, 8);
      const auto dout = random_dout<BFloat16>(problem);
      const auto first = gradients_by(*open_cuda({}), whole, dout);
      for (int again = 0; again < 5; ++again) {
        const auto other = gradients_by(*open_cuda({}), whole, dout);
        EXPECT_EQ(first.dq.values, other.dq.values);
        EXPECT_EQ(first.dk.values, other.dk.values);
        EXPECT_EQ(first.dv.values, other.dv.values);
      }
    }
  }
}
#endif

TEST(CudaOrder, OfWarpsDoesNotChangeABitBackward) {
  for_each_kernel(139, Mask::window(90, 20), []<class T>(const Problem& problem) {
    const auto whole = random_problem<T>(problem, 8);
    const auto dout = random_dout<T>(problem);
    const auto first = gradients_by(*open_cuda({}), whole, dout);
    for (const auto& schedule : {other_model_schedules[0], other_model_schedules[1]}) {
      const auto other = gradients_by(*open_cuda(schedule), whole, dout);
      EXPECT_EQ(first.dq.values, other.dq.values);
      EXPECT_EQ(first.dk.values, other.dk.values);
      EXPECT_EQ(first.dv.values, other.dv.values);
      EXPECT_EQ(first.dgain, other.dgain);
    }
  });
}

}  // namespace
}  // namespace annulus::test
