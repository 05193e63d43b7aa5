#pragma once
// How long plans take.

#include <limits>
#include <memory>
#include <span>

#include "annulus/comm/communicator.hpp"
#include "annulus/measure/rulers.hpp"
#include "annulus/measure/timed_pass.hpp"

namespace annulus::measure {

/// Over repetitions; each time is the maximum over ranks. NaN where nothing was timed.
struct Measurement {
  int repetitions = 0;
  double median_seconds = std::numeric_limits<double>::quiet_NaN();
  double least_seconds = std::numeric_limits<double>::quiet_NaN();
  double most_seconds = std::numeric_limits<double>::quiet_NaN();
  /// Median: waiting for transfers with nothing to compute.
  double exposed_seconds = std::numeric_limits<double>::quiet_NaN();
  double flops = 0;      ///< of one pass, from the exact visible area
  Index bytes_sent = 0;  ///< of one pass, all ranks
  Ceilings ceilings{};   ///< of all ranks at once

  [[nodiscard]] double flops_per_second() const { return flops / median_seconds; }
};

/// How often each pass is timed.
struct Repetitions {
  int count = 5;
  /// Fewer repetitions where they would take longer than this. A pass that takes longer on its own
  /// is not warmed up: its first run is what is timed.
  double most_seconds = std::numeric_limits<double>::infinity();
};

/// Collective. Runs each pass once to warm up and then in rounds, one repetition of every pass
/// after the other, so that slow phases of a machine hit all of them alike; the rulers are sampled
/// before, between and after rounds. A short pass is run once more before each repetition, since
/// the passes before it have emptied the caches. The result is the same on all ranks.
[[nodiscard]] std::vector<Measurement> measure_in_turns(
    std::span<const std::unique_ptr<TimedPass>> passes, comm::Communicator& communicator,
    Rulers& rulers, Repetitions repetitions);

}  // namespace annulus::measure
