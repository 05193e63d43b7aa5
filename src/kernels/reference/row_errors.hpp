#pragma once
// What rounding does to the logits and probabilities of one row.

#include <cmath>
#include <vector>

#include "annulus/kernels/error_bounds.hpp"
#include "kernels/reference/direct_rows.hpp"
#include "kernels/reference/rounded_sums.hpp"

namespace annulus::kernels {

/// A key that a row sees, or its sink.
struct RoundedKey {
  double z;
  double p;             ///< probability
  double log_p;         ///< ln p
  RoundingError error;  ///< of e^(z - m), relative
};

/// A row that sees something. The error of e^(z - m) is that of the product <q, k>, whose terms
/// have the size Sum_c |q_c k_c|, a few roundings of z - m and of 1, and those of scales, which all
/// logits share.
class RowErrors {
 public:
  RowErrors(const DirectRow& row, Index dim, const Roundings& roundings)
      : softmax_(row), roundings_(roundings) {
    const double u = roundings.sum;
    const double maximum = softmax_.maximum();
    const auto add = [&](double z, double size) {
      keys_.push_back({z, softmax_.weight(z), softmax_.log_weight(z),
                       of_product(dim, u, size) + few_roundings(u, 1 + maximum - z) +
                           RoundingError{0, 4 * u * std::abs(z)}});
      // As if those of all keys were alike, as they are where keys are.
      relative_.own += keys_.back().p * keys_.back().error.own;
      relative_.shared += keys_.back().p * keys_.back().error.shared;
    };
    for (const auto& key : row.keys) add(key.z, std::abs(row.scale) * key.size);
    if (!std::isinf(row.sink)) add(row.sink, 0);
    relative_ = relative_ + of_additions(std::ssize(keys_), roundings, 1);
    const double lse = softmax_.lse();
    lse_ = relative_ + few_roundings(u, std::abs(lse) + std::abs(lse - maximum));
  }

  [[nodiscard]] const DirectSoftmax& softmax() const { return softmax_; }
  /// In the order of the row, the sink at the end.
  [[nodiscard]] const std::vector<RoundedKey>& keys() const { return keys_; }
  /// Of p where it multiplies a value, but for that of z: of e^(z - m) as a factor, which is exact
  /// where it is 1, and of outputs over some of the keys.
  [[nodiscard]] RoundingError of_factor(const RoundedKey& key) const {
    const double factor = key.z == softmax_.maximum() ? 0 : key.p * roundings_.factor;
    return RoundingError{factor + roundings_.least, 0} +
           RoundingError{key.p * roundings_.partial, 0};
  }
  /// Of a division by the sum of e^(z - m) after its additions, relative.
  [[nodiscard]] RoundingError of_division() const {
    return of_additions(std::ssize(keys_), roundings_, 1) + few_roundings(roundings_.sum, 1);
  }
  /// Of the sum of e^(z - m), relative.
  [[nodiscard]] const RoundingError& relative() const { return relative_; }
  /// Of lse as it is stored, absolute.
  [[nodiscard]] const RoundingError& lse() const { return lse_; }

 private:
  DirectSoftmax softmax_;
  Roundings roundings_;
  std::vector<RoundedKey> keys_;
  RoundingError relative_;
  RoundingError lse_;
};

}  // namespace annulus::kernels
