#pragma once
// The results of a study on a terminal.

#include <string>

#include "annulus/results/study_file.hpp"
#include "cli/table.hpp"

namespace annulus::cli {

/// Every point with all that is measured and known of it in closed form; a point with an inner
/// axis takes a row for each place on it.
[[nodiscard]] Table points_table(const results::StudyLayout& layout,
                                 const results::StudyFile& file);

/// What a reader looks for first: over (rho, gamma) a map of each main quantity, with the points
/// above the critical line marked; along an inner axis where there is one; else by point, theory
/// beside measurement.
[[nodiscard]] std::string study_text(const results::StudyLayout& layout,
                                     const results::StudyFile& file);

}  // namespace annulus::cli
