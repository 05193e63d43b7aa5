#pragma once
// What one rank did in one run of a pass, as sums over its trace.

#include <vector>

#include "annulus/base/index.hpp"
#include "annulus/plan/topology.hpp"
#include "annulus/ring/pass_trace.hpp"

namespace annulus::measure {

/// Of one step of a program; what is due at its end counts as one more step.
struct StepRun {
  double compute_seconds = 0;
  double exposed_seconds = 0;  ///< waiting, with nothing to compute
};

struct RankRun {
  double seconds = 0;  ///< of the pass on this rank
  double compute_seconds = 0;
  double exposed_seconds = 0;
  double transfer_seconds = 0;          ///< with transfers under way, from start to seen to be done
  double exposed_transfer_seconds = 0;  ///< of it, waiting
  Index bytes_sent = 0;
  Index bytes_between_nodes = 0;  ///< of it, to ranks of other nodes
  Index messages_sent = 0;
  std::vector<StepRun> steps{};

  /// Neither computing nor waiting: packing, summing, merging, finishing.
  [[nodiscard]] double other_seconds() const { return seconds - compute_seconds - exposed_seconds; }
};

/// Sums over what `rank` traced.
[[nodiscard]] RankRun rank_run_of(const PassTrace& trace, const Topology& topology, int rank);

}  // namespace annulus::measure
