#pragma once
// Plans as text.

#include <string>

#include "annulus/plan/plan.hpp"

namespace annulus {

/// A run as `document:first..last` or, with a stride, `document:first..last/stride`.
[[nodiscard]] std::string to_string(const Run& run);

/// The runs of a shard, or `nothing`. More than a handful are counted rather than listed.
[[nodiscard]] std::string to_string(const Shard& shard);

/// What all ranks agree on, in a line.
[[nodiscard]] std::string to_string(const Plan& plan);

/// What a rank holds.
[[nodiscard]] std::string to_string(const Plan& plan, int rank);

/// What a rank computes, sends and receives in a step of its program.
[[nodiscard]] std::string to_string(const Plan& plan, int rank, const Step& step);

}  // namespace annulus
