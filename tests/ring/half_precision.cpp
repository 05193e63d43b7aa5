// 16-bit inputs: they are rounded once, and what is computed from them is fp32. The error is that
// of the rounding, for any number of ranks.
#include <gtest/gtest.h>

#include "annulus/kernels/cpu.hpp"
#include "support/expect_close.hpp"
#include "support/gradients.hpp"

namespace annulus::test {
namespace {

template <class T>
class HalfPrecision : public testing::Test {};
using Types = testing::Types<BFloat16, Float16>;
TYPED_TEST_SUITE(HalfPrecision, Types);

template <class T>
Tensor<T> rounded(const Tensor<double>& tensor) {
  Tensor<T> result(tensor.rows, tensor.heads, tensor.dim);
  std::transform(tensor.values.begin(), tensor.values.end(), result.values.begin(),
                 [](double value) { return T(value); });
  return result;
}

template <class T>
double error_of(const Tensor<T>& got, const Tensor<double>& exact) {
  double largest = 0;
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(got.values[i]) - exact.values[i]));
  }
  return largest;
}

struct Errors {
  double out;
  double dq;
  double dk;
  double dv;
};

/// Errors of `whole`, rounded to T, against the definition in fp64 of what was not rounded.
template <class T>
Errors errors_of(WholeProblem<double>& whole, int ranks, const kernels::Kernel& kernel) {
  const WholeProblem<T> given{.problem = whole.problem,
                              .q = rounded<T>(whole.q),
                              .k = rounded<T>(whole.k),
                              .v = rounded<T>(whole.v),
                              .gain = whole.gain,
                              .sink = whole.sink,
                              .table = whole.table};
  const auto& problem = whole.problem;
  Outputs<float> got(problem.documents.queries(), problem.query_heads, problem.output_dim());
  comm::run_threads(ranks, [&](comm::Communicator& communicator) {
    attend(given, communicator, Sharding::zigzag, kernel, got);
  });
  const auto dout = random_dout<double>(problem);
  const auto gradients =
      gradients_by_ranks(given, rounded<T>(dout), ranks, Sharding::zigzag, kernel, true);
  const auto exact = direct_gradients_of(whole, dout);
  return {.out = error_of(got.out, direct(whole).out),
          .dq = error_of(gradients.dq, exact.dq),
          .dk = error_of(gradients.dk, exact.dk),
          .dv = error_of(gradients.dv, exact.dv)};
}

TYPED_TEST(HalfPrecision, ErrorIsThatOfOneRankAndDoesNotGrowWithRanks) {
  auto whole = random_problem<double>({.query_heads = 4,
                                       .key_heads = 2,
                                       .head_dim = 32,
                                       .documents = Documents::single(521),
                                       .mask = Mask::causal(),
                                       .logit_scale = LogitScale::parse("ssmax:s=0.4")},
                                      5);
  const auto single = errors_of<TypeParam>(whole, 1, kernels::reference());
  for (const int ranks : {1, 2, 4, 5, 8, 16, 32, 64}) {
    SCOPED_TRACE("P = " + std::to_string(ranks));
    const auto errors = errors_of<TypeParam>(whole, ranks, kernels::cpu());
    // Next to the error of the rounded inputs, that of fp32 sums is small: 1 % stands for it.
    EXPECT_LE(errors.out, 1.01 * single.out);
    EXPECT_LE(errors.dq, 1.01 * single.dq);
    EXPECT_LE(errors.dk, 1.01 * single.dk);
    EXPECT_LE(errors.dv, 1.01 * single.dv);
  }
}

TYPED_TEST(HalfPrecision, AllThatIsComputedIsFp32) {
  auto whole = random_problem<TypeParam>({.query_heads = 4,
                                          .key_heads = 2,
                                          .head_dim = 32,
                                          .value_dim = 17,
                                          .documents = Documents::packed({0, 1, 200, 331}),
                                          .mask = Mask::window(90, 20)},
                                         5);
  whole.sink = {1.0, -2.0, 0.5, 3.0};
  const auto expected = direct(whole);
  for (const int ranks : {1, 3, 8}) {
    Outputs<float> got(331, 4, 17);
    comm::run_threads(ranks, [&](comm::Communicator& communicator) {
      attend(whole, communicator, Sharding::striped, kernels::cpu(), got, 2);
    });
    expect_close(got, expected, bound_of(whole), largest_element(whole.v));
  }
}

}  // namespace
}  // namespace annulus::test
