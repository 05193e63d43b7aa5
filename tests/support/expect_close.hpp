#pragma once
// Comparison of what was computed with what is exact, element by element.

#include <algorithm>
#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include "support/gradients.hpp"
#include "support/whole_problem.hpp"

namespace annulus::test {

template <class T>
[[nodiscard]] double largest_element(const std::vector<T>& values) {
  double largest = 0;
  for (const T value : values) {
    const double size = std::abs(static_cast<double>(value));
    if (std::isfinite(size)) largest = std::max(largest, size);
  }
  return largest;
}

template <class T>
[[nodiscard]] double largest_element(const Tensor<T>& tensor) {
  return largest_element(tensor.values);
}

/// The most that an element of `got` is off.
template <class T>
[[nodiscard]] double largest_error(const Tensor<T>& got, const Tensor<double>& exact) {
  double largest = 0;
  for (std::size_t i = 0; i < got.values.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(got.values[i]) - exact.values[i]));
  }
  return largest;
}

/// The first element of `got` that is further from `expected` than its bound, or success.
template <class T>
[[nodiscard]] testing::AssertionResult all_close(const char* name, const std::vector<T>& got,
                                                 const std::vector<double>& expected,
                                                 const std::vector<double>& bounds) {
  if (got.size() != expected.size()) {
    return testing::AssertionFailure() << got.size() << " elements of " << name;
  }
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto a = static_cast<double>(got[i]);
    const double b = expected[i];
    if (a == b) continue;  // infinities
    // Written so that NaN fails.
    if (!(std::abs(a - b) <= bounds[i] && std::isfinite(bounds[i]))) {
      return testing::AssertionFailure()
             << name << "[" << i << "] is " << a << ", exact " << b << ", bound " << bounds[i];
    }
  }
  return testing::AssertionSuccess();
}

/// The same with one bound for all.
template <class T>
[[nodiscard]] testing::AssertionResult all_close(const char* name, const std::vector<T>& got,
                                                 const std::vector<double>& expected,
                                                 double bound) {
  return all_close(name, got, expected, std::vector<double>(expected.size(), bound));
}

/// Whether a comparison must be able to fail: every bound is below a tenth of the largest element.
/// It cannot be where that one is nothing but what is left of numbers that cancel, as gradients are
/// of a softmax that has decided.
enum class Sharpness { tenth, any };

template <class T>
void expect_close(const char* name, const std::vector<T>& got, const std::vector<double>& expected,
                  const std::vector<double>& bounds, Sharpness sharpness = Sharpness::tenth) {
  EXPECT_TRUE(all_close(name, got, expected, bounds));
  const double largest = largest_element(expected);
  if (sharpness == Sharpness::tenth && largest > 0) {
    EXPECT_LE(largest_element(bounds), largest / 10) << name << ": a bound that says nothing";
  }
}

/// Every output and statistic.
template <class T>
void expect_close(const Outputs<T>& got, const Outputs<double>& expected,
                  const Outputs<double>& bounds, Sharpness sharpness = Sharpness::tenth) {
  expect_close("out", got.out.values, expected.out.values, bounds.out.values, sharpness);
  expect_close("lse", got.lse.values, expected.lse.values, bounds.lse.values, sharpness);
  for (std::size_t s = 0; s < row_statistics().size(); ++s) {
    expect_close(row_statistics()[s].name, got.statistics[s].values, expected.statistics[s].values,
                 bounds.statistics[s].values, sharpness);
  }
}

/// Every gradient. `of_parameters`: of dgain and dsink, one number for each head, in which rows
/// cancel.
template <class T>
void expect_close(const AllGradients<T>& got, const AllGradients<double>& expected,
                  const AllGradients<double>& bounds, Sharpness sharpness,
                  Sharpness of_parameters) {
  expect_close("dq", got.dq.values, expected.dq.values, bounds.dq.values, sharpness);
  expect_close("dk", got.dk.values, expected.dk.values, bounds.dk.values, sharpness);
  expect_close("dv", got.dv.values, expected.dv.values, bounds.dv.values, sharpness);
  expect_close("dgain", got.dgain, expected.dgain, bounds.dgain, of_parameters);
  expect_close("dsink", got.dsink, expected.dsink, bounds.dsink, of_parameters);
}

template <class T>
void expect_close(const AllGradients<T>& got, const AllGradients<double>& expected,
                  const AllGradients<double>& bounds, Sharpness sharpness = Sharpness::tenth) {
  expect_close(got, expected, bounds, sharpness, sharpness);
}

/// Where rounded factors hide what rows leave of gradients of parameters.
[[nodiscard]] inline Sharpness sharpness_of_parameters(const kernels::Roundings& roundings) {
  return roundings.factor > 0 ? Sharpness::any : Sharpness::tenth;
}

}  // namespace annulus::test
