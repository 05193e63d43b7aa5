#pragma once
// H = -Sum p ln p = ln l - s / l, in nats.

#include <algorithm>
#include <cmath>

#include "annulus/attention/statistic.hpp"

namespace annulus::statistics {

struct Entropy {
  static constexpr const char* name = "entropy";
  static constexpr const char* description = "H = −Σ p ln p, nat";
  static constexpr double of_nothing = 0;

  /// Rounding cannot push it below 0.
  template <class T>
  static constexpr T of(const FinishedRow<T>& row) {
    return std::max(T{0}, row.log_sum - row.moment / row.sum);
  }

  static double of(const Probabilities& row) {
    double entropy = 0;
    for (const auto& key : row.keys) entropy -= key.p > 0 ? key.p * key.log_p : 0;
    return entropy;
  }

  /// dH = -Sum p (ln p + H) dz, and roundings of ln l and of s / l.
  static double bound(const Probabilities& row, const RowRoundings& roundings) {
    const double entropy = of(row);
    double of_logits = 0;
    double moment = 0;
    for (const auto& key : row.keys) {
      if (key.p == 0) continue;
      of_logits += key.p * std::abs(key.log_p + entropy) * key.error;
      moment += key.p * (row.maximum - key.z);
    }
    const double log_sum = row.lse - row.maximum;
    return of_logits + 2 * roundings.additions * (moment + std::abs(log_sum) + 1);
  }
};

}  // namespace annulus::statistics
