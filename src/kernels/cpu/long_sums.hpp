#pragma once
// Sums of more terms than the digits of their type allow for.

#include "annulus/base/index.hpp"

namespace annulus::kernels {

/// Rows of sums high + low, where low is what rounding to T has taken from the sum: less than half
/// a unit in the last place of high.
template <class T>
struct LongSums {
  T* high;
  Index high_stride;  ///< between rows
  T* low;
  Index low_stride;

  /// The sums from row `row` on.
  [[nodiscard]] LongSums from(Index row) const {
    return {high + row * high_stride, high_stride, low + row * low_stride, low_stride};
  }
};

}  // namespace annulus::kernels
