#pragma once
// Plans as text.

#include <string>

#include "annulus/plan/plan.hpp"

namespace annulus {

/// A run as `document:first..last` or, with a stride, `document:first..last/stride`.
[[nodiscard]] std::string to_string(const Run& run);

/// The runs of a shard, or `nothing`. More than a handful are counted rather than listed.
[[nodiscard]] std::string to_string(const Shard& shard);

/// Who holds what, and what each rank computes, sends and receives at each step; one line each.
[[nodiscard]] std::string to_string(const Plan& plan);

}  // namespace annulus
