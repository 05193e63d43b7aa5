#pragma once
// The states of the rows of a tile, in fragments and where they are kept. The rules are those of
// annulus/attention/softmax_state.hpp.

#include <cmath>

#include "annulus/attention/with_statistics.hpp"
#include "kernels/cuda/arguments.hpp"
#include "kernels/cuda/device/logits.hpp"

namespace annulus::kernels::gpu {

/// What brings sums to a larger maximum: e^(old - new), and what a moment shifts by, times l.
struct MaximumRise {
  float factor;
  float shift;

  [[nodiscard]] ANNULUS_DEVICE static MaximumRise of(float old, float larger) {
    // -inf - -inf is never formed, and where the factor is 0 the shift may be infinite.
    const float factor = old == minus_infinity ? 0.0F : exp_approximate(old - larger);
    return {factor, factor == 0.0F ? 0.0F : old - larger};
  }
};

/// The states of a lane's rows over the keys of a panel. The maximum is that of the whole row and
/// of all keys so far; sums are what this lane has summed over its own columns, until merge_into()
/// adds the four lanes of a row.
template <int rows>
struct RowStates {
  float maximum[rows];
  float sum[rows] = {};
  float moment[rows] = {};
  float squares[rows] = {};

  /// Sums of zero, centred at the maximum of the state that is kept.
  ANNULUS_DEVICE RowStates(const DeviceState& state, const OwnRows& own) {
    ANNULUS_UNROLL
    for (int r = 0; r < rows; ++r) {
      maximum[r] = own.has(r) ? state.maximum[own.state_at(r)] : minus_infinity;
    }
  }

  /// Merges the sums into the state that is kept, and starts over. `kept` becomes what the values
  /// of each row are scaled by before those of the panel are added.
  template <Statistics statistics>
  ANNULUS_DEVICE void merge_into(const DeviceState& state, const OwnRows& own,
                                 float (&kept)[rows]) {
    const int first_lane = lane_index() / 4 * 4;
    ANNULUS_UNROLL
    for (int r = 0; r < rows; ++r) {
      const bool writes = own.has(r) && lane_index() == first_lane;
      // The first lane alone reads what it writes below.
      const float old =
          shuffle(writes ? state.maximum[own.state_at(r)] : minus_infinity, first_lane);
      const auto rise = MaximumRise::of(old, maximum[r]);
      kept[r] = rise.factor;
      const auto factor = static_cast<double>(rise.factor);
      const auto move = [&](double* table, double before, float& panel) {
        const auto more = static_cast<double>(sum_of_row(panel));
        if (writes) table[own.state_at(r)] = factor * before + more;
        panel = 0;
      };
      const double before = writes ? state.sum[own.state_at(r)] : 0.0;
      if constexpr (statistics == Statistics::on) {
        const auto shift = static_cast<double>(rise.shift);
        move(state.moment, writes ? state.moment[own.state_at(r)] + before * shift : 0.0,
             moment[r]);
        move(state.squares, writes ? state.squares[own.state_at(r)] * factor : 0.0, squares[r]);
      }
      move(state.sum, before, sum[r]);
      if (writes) state.maximum[own.state_at(r)] = maximum[r];
    }
  }
};

/// The largest of each row of numbers and the maximum before. Returns whether one is larger, which
/// is so for all lanes of a warp or none.
template <int row_blocks, int columns>
ANNULUS_DEVICE bool find_largest(const RowStates<2 * row_blocks>& states,
                                 const Sums<row_blocks, columns>& numbers,
                                 float (&largest)[2 * row_blocks]) {
  bool rises = false;
  ANNULUS_UNROLL
  for (int r = 0; r < 2 * row_blocks; ++r) {
    largest[r] = states.maximum[r];
    ANNULUS_UNROLL
    for (int n = 0; n < columns / 8; ++n) {
      largest[r] = fmaxf(largest[r], fmaxf(numbers.at(r, n, 0), numbers.at(r, n, 1)));
    }
    largest[r] = largest_of_row(largest[r]);
    rises = rises || largest[r] > states.maximum[r];
  }
  return any(rises);
}

}  // namespace annulus::kernels::gpu
