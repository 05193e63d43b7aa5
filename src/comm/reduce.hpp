#pragma once
// Element-wise reductions, one rank after the other, so that every rank, every run and every
// transport gets the same bits.

#include <cstddef>
#include <cstring>
#include <span>

#include "annulus/base/error.hpp"
#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

/// A NaN is never lost: it is the maximum and the minimum of whatever it meets.
template <class T>
[[nodiscard]] T combine(T total, T value, Reduction reduction) {
  const bool nan = value != value;
  switch (reduction) {
    case Reduction::sum:
      return total + value;
    case Reduction::maximum:
      return nan || value > total ? value : total;
    case Reduction::minimum:
      return nan || value < total ? value : total;
  }
  broken_invariant("unknown reduction");
}

/// Combines `total` with as many values of type T that start at `values`, of any alignment.
template <class T>
void accumulate(std::span<T> total, const std::byte* values, Reduction reduction) {
  for (T& element : total) {
    T value;
    std::memcpy(&value, values, sizeof value);
    values += sizeof value;
    element = combine(element, value, reduction);
  }
}

}  // namespace annulus::comm
