#pragma once
// The largest probability, e^(m - lse) = 1 / l.

#include <algorithm>
#include <cmath>

#include "annulus/attention/statistic.hpp"

namespace annulus::statistics {

struct MaxProbability {
  static constexpr const char* name = "max_probability";
  static constexpr const char* description = "max p";
  static constexpr double of_nothing = 0;

  /// Rounding cannot push it above 1.
  template <class T>
  static constexpr T of(const FinishedRow<T>& row) {
    return std::min(T{1}, T{1} / row.sum);
  }

  static double of(const Probabilities& row) {
    double largest = 0;
    for (const auto& key : row.keys) largest = std::max(largest, key.p);
    return largest;
  }

  /// Of the other keys, whose logits count from the largest, and of the division.
  static double bound(const Probabilities& row, const RowRoundings& roundings) {
    const auto& largest = *std::ranges::max_element(row.keys, {}, &KeyProbability::z);
    double of_others = 0;
    for (const auto& key : row.keys) {
      if (&key != &largest) of_others += key.p * (key.error + largest.error);
    }
    return largest.p * std::expm1(of_others + roundings.division);
  }
};

}  // namespace annulus::statistics
