#pragma once
// Runs a study: a grid of points, each measured by all ranks together and stored before the next.

#include <functional>

#include "annulus/base/index.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/results/study_file.hpp"
#include "annulus/studies/config.hpp"

namespace annulus::studies {

/// What a study computes with. Borrowed.
struct Resources {
  comm::Communicator& communicator;
  const kernels::Kernel& kernel;
  int threads = 1;  ///< of each rank
};

/// Called on every rank after each point, with the number of points that are finished.
using PointFinished = std::function<void(Index done, Index total)>;

/// The axes, the measured variables and the closed forms of a study's results file.
[[nodiscard]] results::StudyLayout layout_of(const StudyConfig& config);

/// Bytes that each of `ranks` ranks needs, at least, for the longest context of a study.
[[nodiscard]] double least_memory(const StudyConfig& config, int ranks);

/// The largest dimension of queries, keys and values of any point.
[[nodiscard]] Index largest_dimension(const StudyConfig& config);

/// Collective. Measures every point that `file` does not hold yet, in order, and stores it. Rank 0
/// gives the file, all others null. Measurements do not depend on the number of ranks but for
/// rounding. Throws on all ranks where storing fails on rank 0.
void run_study(const StudyConfig& config, const Resources& resources, results::StudyFile* file,
               const PointFinished& finished = {});

}  // namespace annulus::studies
