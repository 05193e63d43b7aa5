#pragma once
// Axes and variables that several kinds of study share.

#include "annulus/results/study_file.hpp"
#include "annulus/studies/config.hpp"
#include "studies/kind.hpp"

namespace annulus::studies {

[[nodiscard]] results::Axis length_axis(const StudyConfig& config);
[[nodiscard]] results::Axis rho_axis(const StudyConfig& config);
[[nodiscard]] results::Axis gamma_axis(const StudyConfig& config);

/// A measured variable, and the closed form of the same name.
[[nodiscard]] results::Variable measured(std::string name, std::string long_name,
                                         std::string units = "1", std::string inner_axis = {});

/// Adds a closed form of `of`, called theory/NAME, with one value per point, or per point and entry
/// of the inner axis, in row-major order.
void add_theory(results::StudyLayout& layout, const results::Variable& of,
                std::vector<double> values);

/// Calls `body` for every point of the grid in row-major order.
template <class Body>
void for_each_point(const results::StudyLayout& layout, Body body) {
  PointIndex point(layout.axes.size());
  for (Index left = layout.points(); left > 0; --left) {
    body(point);
    for (std::size_t axis = point.size(); axis-- > 0;) {
      if (++point[axis] < layout.axes[axis].values.size()) break;
      point[axis] = 0;
    }
  }
}

}  // namespace annulus::studies
