#include "measure/least_squares.hpp"

#include <algorithm>
#include <cstddef>

namespace annulus::measure {

std::vector<double> nonnegative_least_squares(const std::vector<std::vector<double>>& rows,
                                              const std::vector<double>& values) {
  constexpr int sweeps = 20000;
  const auto count = rows.front().size();
  std::vector<double> x(count);
  std::vector<double> residuals(rows.size(), -1);  // <row, x> / value - 1
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    for (std::size_t j = 0; j < count; ++j) {
      double slope = 0;
      double curvature = 0;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const double weight = rows[i][j] / values[i];
        slope += weight * residuals[i];
        curvature += weight * weight;
      }
      if (curvature == 0) continue;
      const double moved = std::max(0.0, x[j] - slope / curvature);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        residuals[i] += rows[i][j] / values[i] * (moved - x[j]);
      }
      x[j] = moved;
    }
  }
  return x;
}

}  // namespace annulus::measure
