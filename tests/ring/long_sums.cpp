// Digits that long sums and large logits must not cost, forward and backward.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <string>

#include "annulus/kernels/backend.hpp"
#include "annulus/kernels/cpu.hpp"
#include "support/expect_close.hpp"
#include "support/gradients.hpp"

namespace annulus::test {
namespace {

/// As a study of long contexts has it: few queries, values in [0, 1).
[[nodiscard]] WholeProblem<float> near_uniform_problem(Index queries, Index keys) {
  auto whole =
      random_problem<float>({.head_dim = 16, .documents = Documents::single(queries, keys)}, 31);
  for (auto& value : whole.v.values) value = 0.5F + 0.5F * std::tanh(value);
  return whole;
}

template <class T>
void expect_near(const char* name, const Tensor<T>& got, const Tensor<double>& exact, double most) {
  EXPECT_TRUE(all_close(name, got.values, exact.values, most));
}

// With weights of a few roundings each, independent of one another, sums over n keys are as exact
// as their last roundings: u in themselves, and what rounding the query has moved all logits by.
TEST(LongSums, ErrorsDoNotGrowWithTheNumberOfKeys) {
  const double u = unit_roundoff(DataType::float32);
  for (const Index keys : {16411, 131101}) {
    auto whole = near_uniform_problem(48, keys);
    const auto expected = direct(whole);
    for (const int ranks : {1, 3}) {
      SCOPED_TRACE(std::to_string(keys) + " keys, P = " + std::to_string(ranks));
      const auto got = attend_by_ranks(whole, ranks, Sharding::zigzag, kernels::cpu());
      const auto largest = [](const Tensor<double>& tensor) { return largest_element(tensor); };
      expect_near("out", got.out, expected.out, 8 * u * largest(expected.out));
      expect_near("lse", got.lse, expected.lse, 4 * u * largest(expected.lse));
      expect_near("entropy", got.statistic("entropy"), expected.statistic("entropy"),
                  4 * u * largest(expected.statistic("entropy")));
      expect_near("participation", got.statistic("participation"),
                  expected.statistic("participation"),
                  8 * u * largest(expected.statistic("participation")));
    }
  }
}

// What all terms of dq have in common cancels: dq_i = s Sum_j p_ij (<dout_i, v_j> - D_i) k_j loses
// a few roundings of D_i times |Sum_j p_ij k_j|, which is at most the largest |k|.
TEST(LongSums, GradientsOfQueriesLoseWhatTheirTermsHaveInCommon) {
  const double u = unit_roundoff(DataType::float32);
  for (const Index keys : {16411, 65537}) {
    const auto whole = near_uniform_problem(48, keys);
    const auto dout = random_dout<float>(whole.problem);
    const auto exact = direct_gradients_of(whole, dout);
    for (const int ranks : {1, 3}) {
      SCOPED_TRACE(std::to_string(keys) + " keys, P = " + std::to_string(ranks));
      const auto got =
          gradients_by_ranks(whole, dout, ranks, Sharding::zigzag, kernels::cpu(), true);
      // s = 1/4, |D| < 8, |Sum_j p_ij k_j| < 1/2
      expect_near("dq", got.dq, exact.dq, 0.25 * 8 * 0.5 * 2 * u);
      expect_near("dk", got.dk, exact.dk, 64 * u * largest_element(exact.dk));
      expect_near("dv", got.dv, exact.dv, 64 * u * largest_element(exact.dv));
    }
  }
}

// Integers add up exactly below 2^24, as those of a tile do; a panel of the last keys rounds each
// of its 11 additions by at most 1, and what it holds is a seventh of the whole.
TEST(LongSums, TheMeanOfEqualKeysIsThatOfTheirValues) {
  const Index keys = 16411;
  auto whole = random_problem<float>({.head_dim = 16, .documents = Documents::single(48, keys)}, 1);
  std::ranges::fill(whole.q.values, 1.0F);
  std::ranges::fill(whole.k.values, 1.0F);
  for (Index j = 0; j < keys; ++j) {
    for (Index c = 0; c < 16; ++c) whole.v.at(j, 0, c) = static_cast<float>(j);
  }
  const double mean = static_cast<double>(keys - 1) / 2;
  for (const int ranks : {1, 2, 3, 5}) {
    const auto got = attend_by_ranks(whole, ranks, Sharding::zigzag, kernels::cpu());
    for (const float out : got.out.values) {
      ASSERT_NEAR(static_cast<double>(out), mean, 3 * unit_roundoff(DataType::float32) * mean)
          << ranks;
    }
  }
}

/// The root of the mean square of relative errors.
template <class T>
[[nodiscard]] double typical_error(const Tensor<T>& got, const Tensor<double>& exact) {
  double squares = 0;
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    const double error = static_cast<double>(got.values[i]) / exact.values[i] - 1;
    squares += error * error;
  }
  return std::sqrt(squares / static_cast<double>(got.values.size()));
}

// With terms of one sign, N additions one after the other are off by some 0.4 u (N / 3)^1/2: those
// of a panel of 768 queries by 6.5 u; those of the 48 of a tile, and then of the 16 tiles of a
// panel, by 1.6 u and 0.9 u, and 16 tiles are off independently.
TEST(LongSums, SumsOverTheQueriesOfATileStartAtZero) {
  const double u = unit_roundoff(DataType::float32);
  auto whole = near_uniform_problem(1536, 64);
  auto dout = random_dout<float>(whole.problem);
  for (auto* tensor : {&whole.q, &dout}) {
    for (auto& number : tensor->values) number = 0.75F + 0.25F * std::tanh(number);
  }
  for (Index j = 0; j < 32; ++j) {
    for (Index c = 0; c < 16; ++c) whole.v.at(j, 0, c) *= -1;  // dz_ij has one sign for each key
  }
  const auto exact = direct_gradients_of(whole, dout);
  const auto got = gradients_by_ranks(whole, dout, 1, Sharding::zigzag, kernels::cpu(), true);
  EXPECT_LE(typical_error(got.dk, exact.dk), 1.5 * u);
  EXPECT_LE(typical_error(got.dv, exact.dv), 1.5 * u);
}

// All p are 1 / keys, so dv is the sum of dout over them.
TEST(LongSums, GradientsOfValuesAddUpManyQueries) {
  const Index queries = 16411;
  auto whole =
      random_problem<float>({.head_dim = 16, .documents = Documents::single(queries, 64)}, 1);
  std::ranges::fill(whole.k.values, 0.0F);
  Tensor<float> dout(queries, 1, 16);
  for (Index i = 0; i < queries; ++i) {
    for (Index c = 0; c < 16; ++c) dout.at(i, 0, c) = static_cast<float>(i % 977);
  }
  const double sum = std::accumulate(dout.values.begin(), dout.values.end(), 0.0) / 16 / 64;
  for (const int ranks : {1, 3}) {
    const auto got = gradients_by_ranks(whole, dout, ranks, Sharding::zigzag, kernels::cpu(), true);
    for (const float dv : got.dv.values) {
      ASSERT_NEAR(static_cast<double>(dv), sum, 4 * unit_roundoff(DataType::float32) * sum)
          << ranks;
    }
  }
}

/// Equal logits of size `logit`: p is one over the keys and sinks that a row sees, whatever it is.
template <class T>
void expect_gradients_of_equal_logits(double logit, Problem problem, bool with_sink,
                                      double tolerance) {
  problem.head_dim = 64;
  auto whole = random_problem<T>(problem, 5);
  const auto root = static_cast<T>(std::sqrt(logit / 8));
  std::ranges::fill(whole.q.values, root);
  std::ranges::fill(whole.k.values, root);
  // The logit as fp32 and fp64 have it, since 64 equal products of such numbers are exact in fp64.
  if (with_sink) whole.sink = {8 * static_cast<double>(root) * static_cast<double>(root)};
  const auto dout = random_dout<T>(problem);
  const auto exact = direct_gradients_of(whole, dout);
  for (const auto backend : kernels::backend_names(DeviceKind::cpu)) {
    const auto& kernel = kernels::find_backend(backend, data_type_of<T>);
    for (const int ranks : {1, 2, 3}) {
      SCOPED_TRACE(std::string(backend) + ", " + problem.mask.name() + ", logits of " +
                   std::to_string(logit) + ", P = " + std::to_string(ranks));
      const auto got = gradients_by_ranks(whole, dout, ranks, Sharding::zigzag, kernel, true);
      expect_near("dv", got.dv, exact.dv, tolerance * largest_element(exact.dv));
      if (with_sink) {
        EXPECT_NEAR(got.dsink[0], exact.dsink[0], tolerance * (1 + std::abs(exact.dsink[0])));
      }
    }
  }
}

TEST(LongSums, GradientsDoNotLoseWhatLseRoundsAway) {
  for (const double logit : {1e2, 1e4, 1e6, 1e8}) {
    for (const auto& mask : {Mask::full(), Mask::causal(), Mask::window(20, 3)}) {
      // Few queries too, whose logits a forward pass alone would make in another order.
      for (const Index queries : {5, 64}) {
        const Problem problem{.documents = Documents::single(queries, 64), .mask = mask};
        expect_gradients_of_equal_logits<float>(logit, problem, false, 3e-6);
        expect_gradients_of_equal_logits<double>(logit, problem, false, 1e-14);
      }
    }
  }
}

// A sink of 1: roots that are powers of two make fp32 logits exact.
TEST(LongSums, SinksCountAsTheKeysBesideThem) {
  for (const double logit : {8.0, 8.0 * (1 << 10), 8.0 * (1 << 20)}) {
    const Problem problem{.documents = Documents::single(64), .mask = Mask::causal()};
    expect_gradients_of_equal_logits<float>(logit, problem, true, 3e-6);
    expect_gradients_of_equal_logits<double>(logit, problem, true, 1e-14);
  }
}

}  // namespace
}  // namespace annulus::test
