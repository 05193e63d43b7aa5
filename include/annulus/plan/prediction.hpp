#pragma once
// How long a plan takes on a machine.

#include <limits>

#include "annulus/plan/machine.hpp"
#include "annulus/plan/plan.hpp"

namespace annulus {

/// Seconds of one pass.
struct Prediction {
  double seconds = 0;          ///< until the last rank is done
  double exposed_seconds = 0;  ///< the longest that a rank waits for transfers
  double compute_seconds = 0;  ///< the longest that a rank computes
  double mean_seconds = 0;     ///< mean over ranks of what they compute
  double link_seconds = 0;     ///< the longest that a link between nodes is in use one way
};

struct PredictionOptions {
  int threads = 1;      ///< cores that each rank computes with, at least 1; of GPUs one
  int most_ranks = 64;  ///< that are followed: all of them, or some from the first to the last
  /// Steps that are followed: all of them, or parts of the pass from its beginning to its end, and
  /// never of a backward pass.
  std::size_t most_steps = std::numeric_limits<std::size_t>::max();
  /// Where the pass takes longer, some such number is good enough.
  double enough = std::numeric_limits<double>::infinity();
};

/// Follows ranks of `plan`, which is for `topology`, step by step: transfers take their turns on
/// the links, and a rank goes on when what is due is there. Ranks that are not followed do the same
/// at the same moment as those that are.
[[nodiscard]] Prediction predict(const Plan& plan, const Topology& topology, Pass pass,
                                 const Machine& machine, const PredictionOptions& options = {});

}  // namespace annulus
