#pragma once
// e^H: as many keys of equal probability have this entropy.

#include "attention/statistics/entropy.hpp"

namespace annulus::statistics {

struct EffectiveKeys {
  static constexpr const char* name = "effective_keys";
  static constexpr const char* description = "e^H";
  static constexpr double of_nothing = 0;

  template <class T>
  static constexpr T of(const FinishedRow<T>& row) {
    return std::exp(Entropy::of(row));
  }

  static double of(const Probabilities& row) { return std::exp(Entropy::of(row)); }

  static double bound(const Probabilities& row, const RowRoundings& roundings) {
    const double entropy = Entropy::of(row);
    const double of_entropy = Entropy::bound(row, roundings) + 4 * roundings.unit * (1 + entropy);
    return std::exp(entropy) * std::expm1(of_entropy);
  }
};

}  // namespace annulus::statistics
