#pragma once
// Conversions between arithmetic types that must not change the value.

#include <source_location>

#include "annulus/base/error.hpp"

namespace annulus {

/// Converts `value` to `To`; throws Error if the value does not survive the round trip.
template <class To, class From>
[[nodiscard]] constexpr To narrow(From value,
                                  std::source_location location = std::source_location::current()) {
  const auto result = static_cast<To>(value);
  if (static_cast<From>(result) != value || (result < To{}) != (value < From{})) {
    broken_invariant("a number does not fit the type it is converted to", location);
  }
  return result;
}

}  // namespace annulus
