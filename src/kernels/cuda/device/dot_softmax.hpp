#pragma once
// The online softmax on dot products that are not scaled: one difference, one product and one power
// a key. The rules are those of annulus/attention/softmax_state.hpp.
//
// While keys stream past, the maximum of a row is that of its dot products, D, and a weight is
// 2^(f (<q, k> - D)) with f = scale log2 e: exactly 1 at the maximum however large logits are. One
// multiply-add f <q, k> - f D would be less, but is off by what f D was rounded by; weights are
// rounded to 16 bits and their sum is not, so the sum would not fit the weights.
//
// The state that is kept has its maximum m in logits. Where m follows from D it is the rounded
// scale D, as in softmax_state.hpp. Where D follows from m, sums are multiplied by what that
// division left, e^(scale D - m).

#include <limits>

#include "kernels/cuda/device/softmax.hpp"

namespace annulus::kernels::gpu {

/// What turns the dot products of a lane's rows into logits. Scales are positive, so that the
/// largest product has the largest logit: where they are not, products are multiplied by -1 or 0
/// first.
template <int rows>
struct DotScale {
  float scale[rows];
  bool turns = false;  ///< whether a scale of the warp is not positive

  ANNULUS_DEVICE DotScale(const float* table, const OwnRows& own) {
    ANNULUS_UNROLL
    for (int r = 0; r < rows; ++r) {
      const float number = own.has(r) ? table[own.at(r)] : 1.0F;
      scale[r] = number == 0 ? 1.0F : fabsf(number);
      turns = turns || number <= 0;
    }
    turns = any(turns);
  }

  /// Multiplies products where the scale is not positive; reads the table again, for that is rare
  /// and registers are not.
  template <int columns>
  ANNULUS_DEVICE void turn_dots(Sums<rows / 2, columns>& dots, const float* table,
                                const OwnRows& own) const {
    const RowNumbers<rows> numbers(table, own);
    for_each_number<rows, columns / 8>([&](int r, int n, int side) {
      const float number = numbers.at[r];
      if (!own.has(r) || number > 0) return;
      dots.at(r, n, side) *= number < 0 ? -1.0F : 0.0F;
    });
  }

  /// In base 2, of a difference of dot products.
  [[nodiscard]] ANNULUS_DEVICE float factor(int r) const { return scale[r] * log2_e; }

  /// A finite product for a finite logit: just below all that have it, so that equal logits have a
  /// weight of exactly 1 before and after. Products and quotients are off by 2^-24 of themselves.
  [[nodiscard]] ANNULUS_DEVICE float dot_of(int r, float logit) const {
    if (logit == minus_infinity) return logit;
    constexpr float most = std::numeric_limits<float>::max();
    const float quotient = fminf(fmaxf(logit / scale[r], -most), most);
    return fmaxf(quotient - fabsf(quotient) * 0x1p-22F, -most);
  }
};

/// The states as they are kept, with maxima in dot products.
template <int rows>
[[nodiscard]] ANNULUS_DEVICE RowStates<rows> states_of_dots(const DeviceState& kept,
                                                            const OwnRows& own,
                                                            const DotScale<rows>& scale) {
  RowStates<rows> states(kept, own);
  ANNULUS_UNROLL
  for (int r = 0; r < rows; ++r) states.maximum[r] = scale.dot_of(r, states.maximum[r]);
  return states;
}

/// Moves the states to the largest dot products where these are larger, and calls
/// scale_values(factors) with what sums of values are then to be multiplied by: for all rows of a
/// warp or none.
template <Statistics statistics, int row_blocks, int columns, class ScaleValues>
ANNULUS_DEVICE void raise_dot_maximum(RowStates<2 * row_blocks>& states,
                                      const Sums<row_blocks, columns>& dots,
                                      const DotScale<2 * row_blocks>& scale,
                                      ScaleValues scale_values) {
  constexpr int rows = 2 * row_blocks;
  float largest[rows];
  if (!find_largest(states, dots, largest)) return;
  float factors[rows];
  ANNULUS_UNROLL
  for (int r = 0; r < rows; ++r) {
    // As in MaximumRise: -inf - -inf is never formed.
    const float old = states.maximum[r];
    const float shift =
        old == minus_infinity ? minus_infinity : (old - largest[r]) * scale.factor(r);
    const float factor = exp2_approximate(shift);
    states.maximum[r] = largest[r];
    if constexpr (statistics == Statistics::on) {
      states.moment[r] =
          factor == 0.0F ? 0.0F : factor * (states.moment[r] + states.sum[r] * shift);
      states.squares[r] *= factor * factor;
    }
    states.sum[r] *= factor;
    factors[r] = factor;
  }
  scale_values(factors);
}

/// Turns dot products into weights and adds them to the states, whose moments are in base 2.
template <Statistics statistics, int row_blocks, int columns>
ANNULUS_DEVICE void weigh_dots(RowStates<2 * row_blocks>& states, Sums<row_blocks, columns>& dots,
                               const DotScale<2 * row_blocks>& scale) {
  ANNULUS_UNROLL
  for (int r = 0; r < 2 * row_blocks; ++r) {
    const float maximum = states.maximum[r] == minus_infinity ? 0.0F : states.maximum[r];
    const float factor = scale.factor(r);
    ANNULUS_UNROLL
    for (int n = 0; n < columns / 8; ++n) {
      ANNULUS_UNROLL
      for (int side = 0; side < 2; ++side) {
        float& number = dots.at(r, n, side);
        const float x = (number - maximum) * factor;
        number = exp2_approximate(x);
        states.sum[r] += number;
        if constexpr (statistics == Statistics::on) {
          // Finite, so that a weight of 0 adds nothing: 0 times -inf would be NaN.
          states.moment[r] += number * fmaxf(x, -1e30F);
          states.squares[r] += number * number;
        }
      }
    }
  }
}

/// Multiplies the sums of each row.
template <int row_blocks, int columns>
ANNULUS_DEVICE void scale_rows(Sums<row_blocks, columns>& sums,
                               const float (&factors)[2 * row_blocks]) {
  for_each_number<2 * row_blocks, columns / 8>(
      [&](int r, int n, int side) { sums.at(r, n, side) *= factors[r]; });
}

/// Brings the states and the sums of values of a panel to maxima in logits, as RowStates keeps
/// them.
template <Statistics statistics, int row_blocks, int columns>
ANNULUS_DEVICE void to_logits(RowStates<2 * row_blocks>& states, Sums<row_blocks, columns>& values,
                              const DotScale<2 * row_blocks>& scale, const DeviceState& kept,
                              const OwnRows& own) {
  constexpr float ln_2 = 0.69314718055994530942F;
  constexpr int rows = 2 * row_blocks;
  float factors[rows];
  ANNULUS_UNROLL
  for (int r = 0; r < rows; ++r) {
    const float dot = states.maximum[r];
    const float before = own.has(r) ? kept.maximum[own.state_at(r)] : minus_infinity;
    const float of_dot = rounded_product(dot, scale.scale[r]);
    const float maximum = dot == scale.dot_of(r, before) ? before : of_dot;
    const float rest = maximum == of_dot ? 0.0F : fmaf(dot, scale.scale[r], -maximum);
    factors[r] = exp_approximate(rest);
    states.maximum[r] = maximum;
    if constexpr (statistics == Statistics::on) {
      states.moment[r] = factors[r] * (ln_2 * states.moment[r] + states.sum[r] * rest);
      states.squares[r] *= factors[r] * factors[r];
    }
    states.sum[r] *= factors[r];
  }
  scale_rows(values, factors);
}

/// Merges the sums of a panel into the state that is kept, and starts over from the same maxima.
template <Statistics statistics, int row_blocks, int columns>
ANNULUS_DEVICE void end_panel(RowStates<2 * row_blocks>& states, Sums<row_blocks, columns>& values,
                              const ForwardArguments& a, const OwnRows& own) {
  constexpr int rows = 2 * row_blocks;
  float dots[rows];
  ANNULUS_UNROLL
  for (int r = 0; r < rows; ++r) dots[r] = states.maximum[r];
  to_logits<statistics>(states, values, DotScale<rows>(a.scale, own), a.state, own);
  float kept[rows];
  states.template merge_into<statistics>(a.state, own, kept);
  merge_sums(values, a.state.values, kept, own, a.v.dim);
  ANNULUS_UNROLL
  for (int r = 0; r < rows; ++r) states.maximum[r] = dots[r];
}

}  // namespace annulus::kernels::gpu
