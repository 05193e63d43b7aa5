#pragma once
// The online softmax of one row: a monoid, and the only way partial results are ever combined.

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace annulus {

/// The scalar part of a row's state over the keys seen so far, with base-e logits z:
///   maximum m = max z,              sum l     = Sum e^(z-m),
///   moment s = Sum e^(z-m) (z-m),   squares u = Sum e^(2(z-m)).
/// The moment is centred at m, so that entropy = ln l - s/l does not cancel where logits are large:
/// Sum e^(z-m) z would lose as many digits as |m| has.
/// The vector part O = Sum e^(z-m) v is held beside it and rescaled by the factors that merge()
/// returns. The identity is m = -inf with all sums 0. m and ln l stay apart to the end: e^(z - lse)
/// with a rounded lse is off by as many digits as |m| has.
/// Any m near the maximum gives the same lse and out, so without statistics kernels may leave it up
/// to 10 below that.
template <class T>
struct SoftmaxState {
  T maximum = -std::numeric_limits<T>::infinity();
  T sum = 0;
  T moment = 0;
  T squares = 0;

  /// The state of a single key with logit z, which is nothing where z is -inf.
  [[nodiscard]] static SoftmaxState of_key(T z) {
    if (z == -std::numeric_limits<T>::infinity()) return {};
    return {z, 1, 0, 1};
  }

  /// A sum that is not a number is one of something.
  [[nodiscard]] bool empty() const {
    return maximum == -std::numeric_limits<T>::infinity() && sum == 0;
  }

  /// ln l; -inf for the identity.
  [[nodiscard]] T log_sum() const { return std::log(sum); }

  /// ln Sum e^z; -inf for the identity.
  [[nodiscard]] T lse() const { return maximum + log_sum(); }

  /// What a `rounded` lse lacks: (m - lse) + ln l; 0 for the identity.
  [[nodiscard]] T lse_beyond(T rounded) const {
    return empty() ? T{0} : (maximum - rounded) + log_sum();
  }
};

/// How much each side's sums are scaled by when two states merge: e^(m_side - m_merged).
template <class T>
struct MergeFactors {
  T left;
  T right;
};

/// A side's moment, centred at its own maximum, moved to the merged maximum and scaled by `factor`.
template <class T>
[[nodiscard]] T shifted_moment(const SoftmaxState<T>& side, T merged_maximum, T factor) {
  return factor == 0 ? T{0} : factor * (side.moment + side.sum * (side.maximum - merged_maximum));
}

/// The factors that bring both sides to the larger maximum, 1 for the side that has it. An empty
/// side gets 0, two empty sides get 0 and 0: -inf - -inf is never formed.
template <class T>
[[nodiscard]] MergeFactors<T> merge_factors(T left_maximum, T right_maximum) {
  const T maximum = std::max(left_maximum, right_maximum);
  const auto factor = [&](T side) {
    if (side == -std::numeric_limits<T>::infinity()) return T{0};
    return side == maximum ? T{1} : std::exp(side - maximum);
  };
  return {factor(left_maximum), factor(right_maximum)};
}

/// left <- left merged with right, whose sums `factor` brings to a maximum that is above both.
template <class T>
void merge(SoftmaxState<T>& left, const SoftmaxState<T>& right, T maximum, MergeFactors<T> factor) {
  left.moment =
      shifted_moment(left, maximum, factor.left) + shifted_moment(right, maximum, factor.right);
  left.maximum = maximum;
  left.sum = left.sum * factor.left + right.sum * factor.right;
  left.squares =
      left.squares * factor.left * factor.left + right.squares * factor.right * factor.right;
}

/// left <- left merged with right. Associative and commutative in exact arithmetic. Returns what
/// the vector parts are scaled by before they are added.
template <class T>
MergeFactors<T> merge(SoftmaxState<T>& left, const SoftmaxState<T>& right) {
  const auto factor = merge_factors(left.maximum, right.maximum);
  merge(left, right, std::max(left.maximum, right.maximum), factor);
  return factor;
}

/// The same with the vector parts, which have the value dimension.
template <class T>
void merge(SoftmaxState<T>& left, std::span<T> left_values, const SoftmaxState<T>& right,
           std::span<const T> right_values) {
  const auto factor = merge(left, right);
  for (std::size_t c = 0; c < left_values.size(); ++c) {
    left_values[c] = left_values[c] * factor.left + right_values[c] * factor.right;
  }
}

}  // namespace annulus
