#pragma once
// Which keys a query sees: a band of relative positions.

#include <limits>
#include <string>
#include <string_view>

#include "annulus/base/index.hpp"

namespace annulus {

/// Query at position p sees key at position j, both in key coordinates of the same document, when
/// -left <= j - p <= right. `full`, `causal` and `window` are all bands, so nothing downstream
/// distinguishes them.
class Mask {
 public:
  /// A reach without end. Small enough that positions can be added to it without overflow.
  static constexpr Index unbounded = std::numeric_limits<Index>::max() / 4;

  [[nodiscard]] static constexpr Mask full() { return {unbounded, unbounded}; }
  [[nodiscard]] static constexpr Mask causal() { return {unbounded, 0}; }
  /// Keys from position -left to +right of the query's own; both at least 0, else InputError.
  [[nodiscard]] static Mask window(Index left, Index right = 0);

  /// Reads `full`, `causal`, `window:LEFT` or `window:LEFT,RIGHT`; throws InputError otherwise.
  [[nodiscard]] static Mask parse(std::string_view text);

  /// The text that parse() reads back.
  [[nodiscard]] std::string name() const;

  [[nodiscard]] constexpr Index left() const { return left_; }
  [[nodiscard]] constexpr Index right() const { return right_; }

  /// Key positions that a query at `position` sees, cut to [0, key_length).
  [[nodiscard]] constexpr Interval visible(Index position, Index key_length) const {
    const Index begin = position - left_;
    const Index end = position + right_ + 1;
    return {begin > 0 ? begin : 0, end < key_length ? end : key_length};
  }

  friend constexpr bool operator==(const Mask&, const Mask&) = default;

 private:
  constexpr Mask(Index left, Index right) : left_(left), right_(right) {}
  Index left_;
  Index right_;
};

}  // namespace annulus
