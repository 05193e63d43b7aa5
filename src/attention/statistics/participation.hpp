#pragma once
// The participation ratio 1 / Sum p^2 = l^2 / u.

#include <algorithm>
#include <cmath>

#include "annulus/attention/statistic.hpp"

namespace annulus::statistics {

struct Participation {
  static constexpr const char* name = "participation";
  static constexpr const char* description = "1/Σ p²";
  static constexpr double of_nothing = 0;

  /// Rounding cannot push it below 1.
  template <class T>
  static constexpr T of(const FinishedRow<T>& row) {
    return std::max(T{1}, row.sum * row.sum / row.squares);
  }

  static double of(const Probabilities& row) {
    double squares = 0;
    for (const auto& key : row.keys) squares += key.p * key.p;
    return 1 / squares;
  }

  /// d ln Sum p^2 = 2 Sum (p^2 / Sum p^2 - p) dz, and roundings of l and u.
  static double bound(const Probabilities& row, const RowRoundings& roundings) {
    double squares = 0;
    for (const auto& key : row.keys) squares += key.p * key.p;
    double of_logits = 0;
    for (const auto& key : row.keys) {
      of_logits += 2 * std::abs(key.p * key.p / squares - key.p) * key.error;
    }
    return std::expm1(of_logits + 4 * roundings.additions) / squares;
  }
};

}  // namespace annulus::statistics
