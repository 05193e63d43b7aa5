// The gradients of the definition against central differences of the definition, in fp64.
#include <gtest/gtest.h>

#include "annulus/kernels/reference.hpp"
#include "support/whole_problem.hpp"

namespace annulus::test {
namespace {

/// Sum <dout, out>.
double loss(WholeProblem<double>& whole, const Tensor<double>& dout) {
  const auto result = direct(whole);
  double sum = 0;
  for (std::size_t i = 0; i < dout.values.size(); ++i) {
    sum += dout.values[i] * result.out.values[i];
  }
  return sum;
}

/// The error of central differences of five points with step h is of order h^4 for smooth
/// functions, beside a rounding of order u / h.
double difference(WholeProblem<double>& whole, const Tensor<double>& dout, double& x) {
  constexpr double step = 1e-3;
  const double at = x;
  const auto value = [&](double offset) {
    x = at + offset;
    return loss(whole, dout);
  };
  const double result =
      (8 * (value(step) - value(-step)) - (value(2 * step) - value(-2 * step))) / (12 * step);
  x = at;
  return result;
}

void expect_gradients(const Problem& problem, bool gain_and_sink) {
  auto whole = random_problem<double>(problem, 3);
  const auto heads = static_cast<std::size_t>(problem.query_heads);
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal;
  if (gain_and_sink) {
    for (std::size_t h = 0; h < heads; ++h) {
      whole.gain.push_back(h == 1 ? 0.0 : normal(random));
      whole.sink.push_back(h == 0 ? -std::numeric_limits<double>::infinity() : normal(random));
    }
  }
  const Index n_q = problem.documents.queries();
  const Index n_k = problem.documents.keys();
  const auto dout = random_tensor<double>(random, n_q, problem.query_heads, problem.output_dim());
  Tensor<double> dq(n_q, problem.query_heads, problem.head_dim);
  Tensor<double> dk(n_k, problem.key_heads, problem.head_dim);
  Tensor<double> dv(n_k, problem.key_heads, problem.output_dim());
  std::vector<double> dgain(heads);
  std::vector<double> dsink(heads);
  kernels::direct_gradients(
      problem, inputs_of(whole), dout.view(),
      {.dq = dq.view(), .dk = dk.view(), .dv = dv.view(), .dgain = dgain, .dsink = dsink});
  const auto check = [&](const char* name, std::vector<double>& inputs,
                         const std::vector<double>& gradients) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (std::isinf(inputs[i])) {
        EXPECT_EQ(gradients[i], 0) << name << "[" << i << "]";
        continue;
      }
      const double expected = difference(whole, dout, inputs[i]);
      EXPECT_NEAR(gradients[i], expected, 1e-7 * std::max(1.0, std::abs(expected)))
          << name << "[" << i << "]";
    }
  };
  check("dq", whole.q.values, dq.values);
  check("dk", whole.k.values, dk.values);
  check("dv", whole.v.values, dv.values);
  check("dgain", whole.gain, dgain);
  check("dsink", whole.sink, dsink);
}

TEST(DirectGradients, AreThoseOfCentralDifferences) {
  for (const auto* mask : {"full", "causal", "window:2,1"}) {
    for (const auto* scale : {"none", "critical:gamma=0.7", "ssmax", "table"}) {
      for (const bool gain_and_sink : {false, true}) {
        SCOPED_TRACE(std::string(mask) + ", " + scale);
        expect_gradients({.query_heads = 4,
                          .key_heads = 2,
                          .head_dim = 3,
                          .value_dim = 2,
                          .documents = Documents::packed({0, 5, 6, 6, 9}),
                          .mask = Mask::parse(mask),
                          .logit_scale = std::string(scale) == "table" ? LogitScale::table()
                                                                       : LogitScale::parse(scale)},
                         gain_and_sink);
      }
    }
  }
}

TEST(DirectGradients, RowsThatSeeNothingGiveNone) {
  expect_gradients({.query_heads = 2,
                    .key_heads = 1,
                    .head_dim = 2,
                    .documents = Documents::single(7, 3),
                    .mask = Mask::causal()},
                   true);
}

}  // namespace
}  // namespace annulus::test
