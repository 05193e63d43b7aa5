// Few queries, which meet keys as they lie: one token, as in decode.
#include <cmath>

#include "kernels/cpu/bf16.hpp"
#include "kernels/cpu/kernels_under_test.hpp"

namespace annulus::test {
namespace {

class CpuFewQueries : public ForwardKernel {};
INSTANTIATE_TEST_SUITE_P(, CpuFewQueries, testing::ValuesIn(cpu_kernels()),
                         name_of_test<KernelUnderTest>);

/// One token over so many keys.
Problem token(Index group, Index keys, Index dim, Index value_dim) {
  return {.query_heads = 2 * group,
          .key_heads = 2,
          .head_dim = dim,
          .value_dim = value_dim,
          .documents = Documents::single(1, keys)};
}

// Rows go by fours, and columns by one to four vectors; 40 is not whole vectors everywhere.
TEST_P(CpuFewQueries, GroupsOfAllSizes) {
  for (Index group = 1; group <= 8; ++group) {
    for (const Index dim : {16, 40, 96}) {
      expect_outputs(token(group, 101, dim, 16 * group), {{.threads = 2}});
    }
  }
}

// The first and the last tiles of 32 keys are cut anywhere.
TEST_P(CpuFewQueries, MasksThatCutTiles) {
  for (const auto* mask : {"causal", "window:1", "window:31", "window:67", "window:401,5"}) {
    for (const Index queries : {1, 3}) {
      auto problem = token(3, 887, 32, 64);
      problem.documents = Documents::single(queries, 887);
      problem.mask = Mask::parse(mask);
      expect_outputs(problem, {{.threads = 3}});
    }
  }
}

TEST_P(CpuFewQueries, LargeLogits) {
  expect_outputs(random_problem<float>(token(4, 1009, 64, 48), 3, 10.0));
  expect_outputs(random_problem<BFloat16>(token(4, 1009, 64, 48), 3, 10.0));
}

template <class T>
void expect_logits_at_the_ends_of_the_range(const kernels::Kernel& kernel) {
  auto problem = token(4, 1009, 64, 48);
  problem.logit_scale = LogitScale::parse("none:base=1");
  auto whole = random_problem<T>(problem, 3);
  for (auto* tensor : {&whole.q, &whole.k, &whole.v}) {
    for (auto& value : tensor->values) value = T(0.0F);
  }
  for (Index head = 0; head < problem.query_heads; ++head) whole.q.at(0, head, 1) = T(0x1p63F);
  for (Index head = 0; head < problem.key_heads; ++head) {
    for (Index j = 0; j < 1009; ++j) {
      whole.k.at(j, head, 1) = T(j % 2 == 0 ? -0x1.8p63F : 0x1.8p63F);
      whole.v.at(j, head, 47) = T(static_cast<float>(j % 2));
    }
  }
  const auto got = attend_by(kernel, whole);
  for (Index head = 0; head < problem.query_heads; ++head) {
    EXPECT_EQ(got.out.at(0, head, 47), 1.0F);
    EXPECT_EQ(got.lse.at(0, head, 0), 0x1.8p126F);
  }
}

TEST_P(CpuFewQueries, LogitsAtTheEndsOfTheRange) {
  const auto open = GetParam().open();
  expect_logits_at_the_ends_of_the_range<float>(*open);
  expect_logits_at_the_ends_of_the_range<BFloat16>(*open);
}

/// The same numbers in fp32.
template <class T>
WholeProblem<float> widened(const WholeProblem<T>& whole) {
  auto wide = random_problem<float>(whole.problem, 0);
  const auto copy = [](const auto& from, auto& to) {
    for (std::size_t i = 0; i < from.values.size(); ++i) {
      to.values[i] = static_cast<float>(from.values[i]);
    }
  };
  copy(whole.q, wide.q);
  copy(whole.k, wide.k);
  copy(whole.v, wide.v);
  return wide;
}

TEST_P(CpuFewQueries, WideningChangesNothing) {
  const auto open = GetParam().open();
  const auto half = random_problem<Float16>(token(4, 1009, 64, 48), 3);
  EXPECT_EQ(attend_by(*open, half).out.values, attend_by(*open, widened(half)).out.values);
  const kernels::WidenedBFloat16ForTest no_dots;
  const auto bf16 = random_problem<BFloat16>(token(4, 1009, 64, 48), 3);
  EXPECT_EQ(attend_by(*open, bf16).out.values, attend_by(*open, widened(bf16)).out.values);
}

/// The largest error of the output.
template <class T>
double error_of(const KernelOutputs<T>& got, const Tensor<double>& exact) {
  double largest = 0;
  for (std::size_t i = 0; i < exact.values.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(got.out.values[i]) - exact.values[i]));
  }
  return largest;
}

// Dot products of bf16 sum in fp32, and weights are not rounded.
TEST_P(CpuFewQueries, DotProductsAreAsGoodAsFp32) {
  const auto open = GetParam().open();
  for (const double size : {1.0, 10.0}) {
    auto whole = random_problem<BFloat16>(token(4, 2003, 128, 128), 3, size);
    const auto exact = direct(whole).out;
    EXPECT_LE(error_of(attend_by(*open, whole), exact),
              2 * error_of(attend_by(*open, widened(whole)), exact))
        << size;
  }
}

}  // namespace
}  // namespace annulus::test
