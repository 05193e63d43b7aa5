// A loss of lse: where values are keys, d lse_i / d q_i = Sum_j p_ij scale k_j = scale out_i, and
// d lse / d sink = 1 - Sum_j p_ij.
#include <gtest/gtest.h>

#include <cmath>

#include "annulus/kernels/backend.hpp"
#include "support/gradients.hpp"
#include "support/schedules.hpp"

namespace annulus::test {
namespace {

constexpr Index n = 37;
constexpr Index d = 5;

WholeProblem<double> values_that_are_keys() {
  auto whole = random_problem<double>({.query_heads = 2,
                                       .key_heads = 2,
                                       .head_dim = d,
                                       .documents = Documents::single(n),
                                       .mask = Mask::causal()},
                                      7);
  whole.v = whole.k;
  whole.sink = {0.5, -1.0};
  return whole;
}

/// Gradients of the sum of lse over all rows, beside what they should be.
void check_rank(const WholeProblem<double>& whole, comm::Communicator& communicator, Spread spread,
                const kernels::Kernel& kernel) {
  const auto plan =
      make_plan(whole.problem, communicator.topology(), spread.options(DataType::float64, kernel));
  const RankInputs<double> inputs(whole, plan, communicator.rank());
  const auto rows = static_cast<Index>(inputs.rows.size());
  RingAttention attention(plan, communicator, kernel);
  Tensor<double> out(rows, 2, d);
  Tensor<double> lse(rows, 2, 1);
  attention.forward(inputs.q.view(), inputs.k.view(), inputs.v.view(), out.view(),
                    {.lse = lse.view(), .sink = whole.sink});
  const Tensor<double> nothing(rows, 2, d);
  Tensor<double> ones(rows, 2, 1);
  std::ranges::fill(ones.values, 1.0);
  Tensor<double> dq(rows, 2, d);
  Tensor<double> dk(plan.key_rows(communicator.rank()), 2, d);
  auto dv = dk;
  std::vector<double> dsink(2);
  attention.backward({.q = inputs.q.view(),
                      .k = inputs.k.view(),
                      .v = inputs.v.view(),
                      .out = std::as_const(out).view(),
                      .lse = std::as_const(lse).view(),
                      .dout = nothing.view(),
                      .dlse = std::as_const(ones).view(),
                      .sink = whole.sink},
                     {.dq = dq.view(), .dk = dk.view(), .dv = dv.view(), .dsink = dsink});
  const double scale = 1 / std::sqrt(static_cast<double>(d));
  std::vector<double> of_sinks(2);
  for (Index i = 0; i < rows; ++i) {
    for (Index h = 0; h < 2; ++h) {
      of_sinks[static_cast<std::size_t>(h)] +=
          std::exp(whole.sink[static_cast<std::size_t>(h)] - lse.at(i, h, 0));
      for (Index c = 0; c < d; ++c) EXPECT_NEAR(dq.at(i, h, c), scale * out.at(i, h, c), 1e-14);
    }
  }
  communicator.all_reduce(std::span(of_sinks), comm::Reduction::sum);
  for (std::size_t h = 0; h < 2; ++h) EXPECT_NEAR(dsink[h], of_sinks[h], n * 1e-15);
  for (const double value : dv.values) EXPECT_EQ(value, 0);
}

TEST(GradientOfLse, ByEveryScheduleAndBackend) {
  const auto whole = values_that_are_keys();
  for (const auto name : kernels::backend_names(DeviceKind::cpu)) {
    const auto& kernel = kernels::find_backend(name, DataType::float64);
    for (const int ranks : {1, 2, 3, 4}) {
      for (const auto& spread : spreads_for(ranks, Sharding::zigzag, 2)) {
        SCOPED_TRACE(std::string(name) + ", " + std::to_string(ranks) + ", " + spread.text());
        comm::run_threads(spread.topology(ranks), [&](comm::Communicator& communicator) {
          check_rank(whole, communicator, spread, kernel);
        });
      }
    }
  }
}

}  // namespace
}  // namespace annulus::test
