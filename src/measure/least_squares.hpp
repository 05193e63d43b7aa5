#pragma once
// Costs from times.

#include <vector>

namespace annulus::measure {

/// The numbers x >= 0 that minimise Sum_i (<rows[i], x> / values[i] - 1)^2, the relative errors of
/// positive values, by descent along one of them after the other.
[[nodiscard]] std::vector<double> nonnegative_least_squares(
    const std::vector<std::vector<double>>& rows, const std::vector<double>& values);

}  // namespace annulus::measure
