#pragma once
// p of the query's own position, 0 where that is not a visible key.

#include <algorithm>
#include <cmath>

#include "annulus/attention/statistic.hpp"

namespace annulus::statistics {

struct SelfProbability {
  static constexpr const char* name = "self_probability";
  static constexpr const char* description =
      "p of the query's own position; 0 where that is not a visible key";
  static constexpr double of_nothing = 0;

  /// Rounding cannot push it above 1.
  template <class T>
  static constexpr T of(const FinishedRow<T>& row) {
    return std::min(T{1}, std::exp(row.self_logit - row.lse));
  }

  static double of(const Probabilities& row) { return row.self == nullptr ? 0 : row.self->p; }

  /// Of e^(z - lse), with a rounded lse.
  static double bound(const Probabilities& row, const RowRoundings& roundings) {
    if (row.self == nullptr) return 0;
    const double relative =
        row.self->error + roundings.lse + 4 * roundings.unit * (1 + std::abs(row.self->log_p));
    return row.self->p * std::expm1(relative) + roundings.least;
  }
};

}  // namespace annulus::statistics
