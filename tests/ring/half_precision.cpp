// 16-bit inputs: they are rounded once, and the state that is computed from them is fp32; where the
// CPU multiplies bf16, weights are rounded to bf16 as well. Neither error grows with the ranks.
#include <gtest/gtest.h>

#include "annulus/kernels/cpu.hpp"
#include "kernels/cpu/bf16.hpp"
#include "support/expect_close.hpp"
#include "support/rounded_factors.hpp"

namespace annulus::test {
namespace {

/// bf16 as this machine multiplies it; as machines without its dot product do; and fp16.
struct MachineBFloat16 {
  using Type = BFloat16;
};
struct WidenedBFloat16 {
  using Type = BFloat16;
  kernels::WidenedBFloat16ForTest widened;
};
struct WidenedFloat16 {
  using Type = Float16;
};

template <class Way>
class HalfPrecision : public testing::Test {
  Way way_;
};
using Ways = testing::Types<MachineBFloat16, WidenedBFloat16, WidenedFloat16>;
TYPED_TEST_SUITE(HalfPrecision, Ways);

template <class T>
Tensor<T> rounded(const Tensor<double>& tensor) {
  Tensor<T> result(tensor.rows, tensor.heads, tensor.dim);
  std::transform(tensor.values.begin(), tensor.values.end(), result.values.begin(),
                 [](double value) { return T(value); });
  return result;
}

/// The largest error, and the root of the mean square.
struct Error {
  double largest = 0;
  double mean = 0;
};

template <class T>
Error error_of(const Tensor<T>& got, const Tensor<double>& exact) {
  Error error;
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    const double difference = std::abs(static_cast<double>(got.values[i]) - exact.values[i]);
    error.largest = std::max(error.largest, difference);
    error.mean += difference * difference;
  }
  error.mean = std::sqrt(error.mean / static_cast<double>(got.values.size()));
  return error;
}

struct Errors {
  Error out;
  Error dq;
  Error dk;
  Error dv;
};

/// What is computed, and the exact results that it is compared with.
template <class T>
struct Comparison {
  WholeProblem<T> given;
  Tensor<T> dout;
  Tensor<double> exact_out;
  AllGradients<double> exact;

  template <class Sum>
  [[nodiscard]] Errors errors(const Tensor<Sum>& out, const AllGradients<Sum>& gradients) const {
    return {.out = error_of(out, exact_out),
            .dq = error_of(gradients.dq, exact.dq),
            .dk = error_of(gradients.dk, exact.dk),
            .dv = error_of(gradients.dv, exact.dv)};
  }
};

template <class T>
Errors errors_by_ranks(const Comparison<T>& comparison, int ranks, const kernels::Kernel& kernel) {
  const auto& given = comparison.given;
  return comparison.errors(
      attend_by_ranks(given, ranks, Sharding::zigzag, kernel).out,
      gradients_by_ranks(given, comparison.dout, ranks, Sharding::zigzag, kernel, true));
}

template <class T>
Errors errors_of_rounded_factors(const Comparison<T>& comparison) {
  const auto reference = with_rounded_factors(comparison.given, comparison.dout);
  return comparison.errors(reference.out, reference.gradients);
}

WholeProblem<double> causal_problem() {
  return random_problem<double>({.query_heads = 4,
                                 .key_heads = 2,
                                 .head_dim = 32,
                                 .documents = Documents::single(521),
                                 .mask = Mask::causal(),
                                 .logit_scale = LogitScale::parse("ssmax:s=0.4")},
                                5);
}

constexpr int rank_counts[] = {1, 2, 3, 4, 5, 8, 16, 32, 64};

void expect_at_most(const Errors& errors, double times, const Errors& reference) {
  const auto check = [&](const char* name, const Error& error, const Error& limit) {
    EXPECT_LE(error.largest, times * limit.largest) << name;
    EXPECT_LE(error.mean, times * limit.mean) << name;
  };
  check("out", errors.out, reference.out);
  check("dq", errors.dq, reference.dq);
  check("dk", errors.dk, reference.dk);
  check("dv", errors.dv, reference.dv);
}

// Against what was not rounded. Next to the error of the rounded inputs, that of fp32 sums is
// small: 1 % stands for it. Rounded weights show, but less than the inputs do.
TYPED_TEST(HalfPrecision, ErrorIsThatOfTheRoundedInputs) {
  using T = typename TypeParam::Type;
  auto whole = causal_problem();
  const auto dout = random_dout<double>(whole.problem);
  const Comparison<T> comparison{.given = {.problem = whole.problem,
                                           .q = rounded<T>(whole.q),
                                           .k = rounded<T>(whole.k),
                                           .v = rounded<T>(whole.v),
                                           .gain = whole.gain,
                                           .sink = whole.sink,
                                           .table = whole.table},
                                 .dout = rounded<T>(dout),
                                 .exact_out = direct(whole).out,
                                 .exact = direct_gradients_of(whole, dout)};
  const auto single = errors_by_ranks(comparison, 1, kernels::reference());
  const bool rounds_weights = kernels::cpu().factor_type(data_type_of<T>) == data_type_of<T>;
  for (const int ranks : rank_counts) {
    SCOPED_TRACE("P = " + std::to_string(ranks));
    expect_at_most(errors_by_ranks(comparison, ranks, kernels::cpu()), rounds_weights ? 2 : 1.01,
                   single);
  }
}

// Against the rounded inputs, so that the errors of what is computed show.
TYPED_TEST(HalfPrecision, ErrorOfRoundedWeightsIsThatOfAReferenceWithThem) {
  using T = typename TypeParam::Type;
  const auto exact = causal_problem();
  Comparison<T> comparison{.given = {.problem = exact.problem,
                                     .q = rounded<T>(exact.q),
                                     .k = rounded<T>(exact.k),
                                     .v = rounded<T>(exact.v),
                                     .gain = exact.gain,
                                     .sink = exact.sink,
                                     .table = exact.table},
                           .dout = rounded<T>(random_dout<double>(exact.problem)),
                           .exact_out = {},
                           .exact = AllGradients<double>(exact.problem)};
  comparison.exact_out = direct(comparison.given).out;
  comparison.exact = direct_gradients_of(comparison.given, comparison.dout);
  const auto reference = errors_of_rounded_factors(comparison);
  for (const int ranks : rank_counts) {
    SCOPED_TRACE("P = " + std::to_string(ranks));
    expect_at_most(errors_by_ranks(comparison, ranks, kernels::cpu()), 2, reference);
  }
}

TYPED_TEST(HalfPrecision, StaysWithinItsBounds) {
  using T = typename TypeParam::Type;
  auto whole = random_problem<T>({.query_heads = 4,
                                  .key_heads = 2,
                                  .head_dim = 32,
                                  .value_dim = 17,
                                  .documents = Documents::packed({0, 1, 200, 331}),
                                  .mask = Mask::window(90, 20)},
                                 5);
  whole.sink = {1.0, -2.0, 0.5, 3.0};
  const auto expected = direct(whole);
  const auto bounds = bounds_of(whole, kernels::cpu());
  for (const int ranks : {1, 3, 8}) {
    expect_close(attend_by_ranks(whole, ranks, Sharding::striped, kernels::cpu(), 2), expected,
                 bounds);
  }
}

}  // namespace
}  // namespace annulus::test
