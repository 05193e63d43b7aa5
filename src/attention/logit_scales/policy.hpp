#pragma once
// What a logit scale policy is: a name, its keys with their defaults, and a formula. One file per
// policy beside this one, and one line in registry.cpp.

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "annulus/attention/logit_scale.hpp"
#include "base/range.hpp"

namespace annulus {

struct LogitScaleKey {
  std::string_view name;
  double value;     ///< default
  RealRange range;  ///< what the value may be
  std::string_view meaning;
};

struct LogitScalePolicy {
  std::string_view name;
  std::string_view description;
  std::string_view formula;  ///< of beta, as documentation shows it
  std::string_view source;   ///< the paper or the model that it comes from
  std::vector<LogitScaleKey> keys;
  std::optional<double> base;  ///< default base scale; none: 1/sqrt(d)
  ScaleLength length;          ///< default length
  /// beta; `keys` holds the values of the keys in their order.
  double (*beta)(std::span<const double> keys, const ScaleArguments& at);
};

/// The registered policies, in the order in which they are listed to users.
[[nodiscard]] std::span<const LogitScalePolicy* const> logit_scale_policies();

}  // namespace annulus
