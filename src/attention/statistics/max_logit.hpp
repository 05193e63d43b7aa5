#pragma once
// The largest logit, m.

#include <algorithm>

#include "annulus/attention/statistic.hpp"

namespace annulus::statistics {

struct MaxLogit {
  static constexpr const char* name = "max_logit";
  static constexpr const char* description = "max z; −∞ where a row sees nothing";
  static constexpr double of_nothing = -std::numeric_limits<double>::infinity();

  template <class T>
  static constexpr T of(const FinishedRow<T>& row) {
    return row.maximum;
  }

  static double of(const Probabilities& row) { return row.maximum; }

  static double bound(const Probabilities& row, const RowRoundings& /*roundings*/) {
    double highest = row.maximum;
    for (const auto& key : row.keys) highest = std::max(highest, key.z + key.error);
    return highest - row.maximum;
  }
};

}  // namespace annulus::statistics
