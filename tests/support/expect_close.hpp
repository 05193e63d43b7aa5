#pragma once
// Comparison of a forward pass with the exact one, statistic by statistic.

#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include "support/whole_problem.hpp"

namespace annulus::test {

/// The first element of `got` that is further from `expected` than `bound(expected)`, or success.
template <class T, class Bound>
[[nodiscard]] testing::AssertionResult all_close(const char* name, const Tensor<T>& got,
                                                 const Tensor<double>& expected, Bound bound) {
  for (Index i = 0; i < got.rows; ++i) {
    for (Index h = 0; h < got.heads; ++h) {
      for (Index c = 0; c < got.dim; ++c) {
        const auto a = static_cast<double>(got.at(i, h, c));
        const double b = expected.at(i, h, c);
        if (a == b) continue;  // infinities
        // Written so that NaN fails.
        if (!(std::abs(a - b) <= bound(b))) {
          return testing::AssertionFailure() << name << "[" << i << "," << h << "," << c << "] is "
                                             << a << ", exact " << b << ", bound " << bound(b);
        }
      }
    }
  }
  return testing::AssertionSuccess();
}

/// Every output and statistic within what follows from `bound`.
template <class T>
void expect_close(const Outputs<T>& got, const Outputs<double>& expected, const ErrorBound& bound,
                  double largest_value) {
  const double e = bound.weight;
  const double u = bound.roundoff;
  EXPECT_TRUE(
      all_close("out", got.out, expected.out, [&](double) { return bound.out(largest_value); }));
  const auto lse = [&](double z) { return bound.lse(z); };
  EXPECT_TRUE(all_close("lse", got.lse, expected.lse, lse));
  const auto entropy = [&](double h) { return bound.entropy(h); };
  EXPECT_TRUE(all_close("entropy", got.statistics[0], expected.statistics[0], entropy));
  EXPECT_TRUE(all_close("effective_keys", got.statistics[1], expected.statistics[1],
                        [&](double k) { return k * std::expm1(entropy(std::log(k)) + 4 * u); }));
  EXPECT_TRUE(all_close("participation", got.statistics[2], expected.statistics[2],
                        [&](double k) { return k * std::expm1(2 * e); }));
  EXPECT_TRUE(all_close("max_probability", got.statistics[3], expected.statistics[3],
                        [&](double p) { return p * std::expm1(e); }));
  EXPECT_TRUE(all_close("max_logit", got.statistics[4], expected.statistics[4], lse));
  // Probabilities below the smallest normal number round to nothing.
  const double tiny = std::numeric_limits<T>::min();
  EXPECT_TRUE(all_close("self_probability", got.statistics[5], expected.statistics[5],
                        [&](double p) { return p * std::expm1(e) + tiny; }));
}

template <class T>
[[nodiscard]] double largest_element(const Tensor<T>& tensor) {
  double largest = 0;
  for (const T value : tensor.values)
    largest = std::max(largest, std::abs(static_cast<double>(value)));
  return largest;
}

}  // namespace annulus::test
