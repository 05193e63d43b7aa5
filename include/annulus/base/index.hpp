#pragma once
// Counts and positions. Sequences may hold more than 2^31 tokens, so these are always 64 bits.

#include <cstdint>

namespace annulus {

using Index = std::int64_t;

/// The largest integer not above a / b, for b > 0 and any a.
[[nodiscard]] constexpr Index floor_div(Index a, Index b) {
  return a / b - static_cast<Index>(a % b < 0);
}

/// The smallest integer not below a / b, for b > 0 and any a.
[[nodiscard]] constexpr Index ceil_div(Index a, Index b) {
  return a / b + static_cast<Index>(a % b > 0);
}

/// Half-open range of indices [begin, end); empty when end <= begin.
struct Interval {
  Index begin = 0;
  Index end = 0;

  [[nodiscard]] constexpr Index size() const { return end > begin ? end - begin : 0; }
  [[nodiscard]] constexpr bool empty() const { return end <= begin; }
  [[nodiscard]] constexpr bool contains(Index index) const { return begin <= index && index < end; }
  friend constexpr bool operator==(const Interval&, const Interval&) = default;
};

}  // namespace annulus
