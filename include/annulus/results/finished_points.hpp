#pragma once
// Which points of a study are there, on all ranks.

#include <vector>

#include "annulus/comm/communicator.hpp"
#include "annulus/results/study_file.hpp"

namespace annulus::results {

/// Collective. For each of `points` points whether `file` holds it, as all ranks learn it from rank
/// 0, which gives the file, while the others give null.
[[nodiscard]] std::vector<bool> finished_points(const StudyFile* file, Index points,
                                                comm::Communicator& communicator);

}  // namespace annulus::results
