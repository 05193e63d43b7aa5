// The ends of the ranges, forward and backward, by ranks against the definition.
#include <gtest/gtest.h>

#include <cmath>

#include "annulus/kernels/backend.hpp"
#include "support/expect_close.hpp"
#include "support/gradients.hpp"

namespace annulus::test {
namespace {

[[nodiscard]] Tensor<float> rounded(const Tensor<double>& tensor) {
  Tensor<float> result(tensor.rows, tensor.heads, tensor.dim);
  result.values.assign(tensor.values.begin(), tensor.values.end());
  return result;
}

/// Outputs and gradients finite and within their bounds.
template <class T>
void expect_both_passes(WholeProblem<T> whole, const std::string& what,
                        Sharpness sharpness = Sharpness::tenth) {
  const auto expected = direct(whole);
  const auto dout = random_dout<T>(whole.problem);
  const auto expected_gradients = direct_gradients_of(whole, dout);
  for (const auto backend : kernels::backend_names(DeviceKind::cpu)) {
    const auto& kernel = kernels::find_backend(backend, data_type_of<T>);
    const auto bounds = bounds_of(whole, kernel);
    const auto gradient_bounds = gradient_bounds_of(whole, dout, kernel);
    for (const int ranks : {1, 2, 3, 5, 8}) {
      for (const auto sharding : all_shardings()) {
        SCOPED_TRACE(what + ", " + std::string(backend) + ", P = " + std::to_string(ranks) + ", " +
                     std::string(name_of(sharding)));
        expect_close(attend_by_ranks(whole, ranks, sharding, kernel), expected, bounds, sharpness);
        expect_close(gradients_by_ranks(whole, dout, ranks, sharding, kernel, true),
                     expected_gradients, gradient_bounds, sharpness);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

void expect_in_both_types(const Problem& problem, const std::string& what) {
  expect_both_passes(random_problem<double>(problem, 7), what);
  expect_both_passes(random_problem<float>(problem, 7), what);
}

Problem small(const Documents& documents, const Mask& mask = Mask::causal()) {
  return {.query_heads = 2, .key_heads = 1, .head_dim = 3, .documents = documents, .mask = mask};
}

TEST(Extremes, TinyDocuments) {
  expect_in_both_types(small(Documents::single(1)), "one token");
  expect_in_both_types(small(Documents::single(0)), "no token");
  expect_in_both_types(small(Documents::batch(5, 1, 1)), "documents of one token");
  std::vector<Index> offsets{0, 1, 2, 60};
  for (Index i = 0; i < 12; ++i) offsets.push_back(offsets.back() + 1);
  expect_in_both_types(small(Documents::packed(offsets)), "one document among single tokens");
}

TEST(Extremes, RowsThatSeeNothing) {
  // The first queries stand before the first key; one document has no keys at all.
  expect_in_both_types(small(Documents::packed({0, 11, 20}, {0, 4, 4})), "more queries than keys");
  expect_in_both_types(small(Documents::single(40, 3), Mask::window(2)), "a window past the keys");
  expect_in_both_types(small(Documents::single(7, 0)), "no keys");
}

TEST(Extremes, Windows) {
  for (const auto* mask :
       {"window:0", "window:0,0", "window:100", "window:100,100", "window:0,100"}) {
    expect_in_both_types(small(Documents::single(19), Mask::parse(mask)), mask);
  }
}

// No gradient of queries is left.
TEST(Extremes, EqualKeys) {
  auto whole = random_problem<double>(small(Documents::single(29)), 3);
  whole.k.values.assign(whole.k.values.size(), 0.7);
  expect_both_passes(whole, "equal keys", Sharpness::any);
  whole.k.values.assign(whole.k.values.size(), 0.0);
  expect_both_passes(whole, "keys of zero");
}

TEST(Extremes, Gains) {
  auto whole = random_problem<double>(small(Documents::single(29)), 3);
  for (const double gain : {0.0, -1.0, -0.0, 1e-300, 50.0}) {
    whole.gain = {gain, 1.0};
    expect_both_passes(whole, "gain " + std::to_string(gain));
  }
}

TEST(Extremes, LogitsOfTenThousand) {
  // A logit of 1e4 has an error of about 1e4 roundings, and every softmax has decided.
  auto whole = random_problem<double>(small(Documents::single(29)), 3);
  for (const double gain : {1e4, -1e4}) {
    whole.gain = {gain, gain};
    expect_both_passes(whole, "logits of 1e4", Sharpness::any);
    expect_both_passes(WholeProblem<float>{.problem = whole.problem,
                                           .q = rounded(whole.q),
                                           .k = rounded(whole.k),
                                           .v = rounded(whole.v),
                                           .gain = whole.gain,
                                           .sink = {},
                                           .table = {}},
                       "logits of 1e4", Sharpness::any);
  }
}

// Values of a thousand and sinks near the lse: a sink that is applied twice, or by every rank, or
// with the scale of the logits, would be off by hundreds.
TEST(Extremes, SinksWithLargeValues) {
  auto problem = small(Documents::single(29));
  problem.logit_scale = LogitScale::critical(2.0);
  auto whole = random_problem<double>(problem, 3);
  for (auto& value : whole.v.values) value = 1e3 + value;
  for (const auto& sink : std::vector<std::vector<double>>{
           {3.0, 5.0}, {1e4, -1e4}, {-std::numeric_limits<double>::infinity(), 0.0}}) {
    whole.sink = sink;
    // <dout, v> - <dout, out> cancels numbers of a thousand, and logits of about 10 multiply it.
    expect_both_passes(whole, "sinks");
  }
  // Such a sink is visible: without it, some outputs are off by hundreds.
  whole.sink = {3.0, 5.0};
  const auto with = direct(whole);
  whole.sink.clear();
  const auto without = direct(whole);
  double largest = 0;
  for (std::size_t i = 0; i < with.out.values.size(); ++i) {
    largest = std::max(largest, std::abs(with.out.values[i] - without.out.values[i]));
  }
  EXPECT_GT(largest, 100);
}

}  // namespace
}  // namespace annulus::test
