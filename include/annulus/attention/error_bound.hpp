#pragma once
// How far attention computed in floating point may be from exact.

#include "annulus/attention/problem.hpp"
#include "annulus/base/data_type.hpp"

namespace annulus {

/// First-order bounds for any order of summation.
struct ErrorBound {
  double roundoff = 0;  ///< unit roundoff u of the type that is computed in
  double logit = 0;     ///< absolute, of a logit
  double weight = 0;    ///< relative, of a probability
  double factor = 0;    ///< relative, of the rounding of what multiplies a value
  double partial = 0;   ///< relative, of the rounding of outputs over some of the keys

  /// Bounds for `problem` with logits and sinks no larger than `largest_logit` in magnitude, where
  /// for the logits |scale| |q| |k| counts, not their sum that cancels. A logit Z made of d
  /// products and a scale is off by at most (d + 4) u Z, which is a relative error of e^z; it
  /// enters a probability above and below the line, as do sums of n terms and the exponentials (a
  /// few u). Probabilities are rounded to `factors` before they multiply values, and outputs over
  /// some of the keys, which are no larger than the largest value, to `partials` before they are
  /// merged.
  [[nodiscard]] static ErrorBound of(const Problem& problem, DataType type, double largest_logit,
                                     DataType factors, DataType partials);

  /// Absolute bounds that follow for what is computed from the probabilities.
  [[nodiscard]] double out(double largest_value) const {
    return (weight + factor + partial) * largest_value;
  }
  [[nodiscard]] double lse(double value) const;
  /// Relative errors e of p change H = -Sum p ln p by at most e Sum p (|ln p| + 1).
  [[nodiscard]] double entropy(double value) const { return weight * (value + 1) + 4 * roundoff; }
};

/// What gradients are made of: the largest scale, norms of rows, and |lse|.
struct GradientSizes {
  double scale = 1;
  double q = 0;
  double k = 0;
  double v = 0;
  double dout = 0;
  double lse = 0;
};

/// First-order absolute bounds for the elements of gradients. With G = |dout| |v|, which bounds
/// <dout, v> and <dout, out>, and p made again from z and a rounded lse: dz = p (<dout, v> -
/// <dout, out>), at most 2 p G, is off by p G times a few relative errors, those of p, of out and
/// of its own rounding; dq sums over keys, whose p sum to 1, and dk and dv over the N queries of a
/// document and group, whose p sum to at most N.
struct GradientBound {
  double dq = 0;
  double dk = 0;
  double dv = 0;

  [[nodiscard]] static GradientBound of(const Problem& problem, const ErrorBound& bound,
                                        const GradientSizes& sizes);
};

}  // namespace annulus
