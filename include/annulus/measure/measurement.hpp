#pragma once
// How long plans take.

#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "annulus/comm/communicator.hpp"
#include "annulus/measure/rank_run.hpp"
#include "annulus/measure/rulers.hpp"
#include "annulus/measure/timed_pass.hpp"

namespace annulus::measure {

/// One step of a pass, over the ranks.
struct StepTimes {
  double mean_compute_seconds = 0;
  double most_compute_seconds = 0;
  double mean_exposed_seconds = 0;
  double most_exposed_seconds = 0;
};

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
  /// Of a chain between tiles, beside Ceilings::chain_seconds; of one rank on a CPU.
  double chain_seconds = std::numeric_limits<double>::quiet_NaN();
  /// Of each repetition.
  std::vector<double> seconds{};
  std::vector<double> exposed{};
  /// What ranks and steps took in the repetition that took the median time, or the one below it;
  /// ranks are without their steps.
  std::vector<RankRun> ranks{};
  std::vector<StepTimes> steps{};

  [[nodiscard]] double flops_per_second() const { return flops / median_seconds; }
  /// The sum over ranks of one of their numbers.
  template <class Number>
  [[nodiscard]] Number sum(Number RankRun::*number) const {
    Number total{};
    for (const auto& rank : ranks) total += rank.*number;
    return total;
  }
  /// Bytes that a rank sends in a second in which transfers are under way; NaN where none are.
  [[nodiscard]] double bandwidth() const;
  /// Of the time in which transfers are under way, the part in which ranks compute; NaN likewise.
  [[nodiscard]] double overlap() const;
  /// The clock of the core during passes in that under the peak's multiply-adds, which take less
  /// power than the same beside loads and stores; NaN on a GPU and of several ranks.
  [[nodiscard]] double relative_clock() const;
  /// Mean over ranks of the time they compute, of the longest; NaN where nothing was timed.
  [[nodiscard]] double balance() const;
};

/// How often each pass is timed.
struct Repetitions {
  int count = 5;
  int warm_up = 1;  ///< runs before, at least one
  /// Fewer repetitions where they would take longer than this. A pass that takes longer on its own
  /// is not warmed up: its first run is what is timed.
  double most_seconds = std::numeric_limits<double>::infinity();
};

/// Collective. Runs each pass to warm up and then in rounds, one repetition of every pass
/// after the other, so that slow phases of a machine hit all of them alike; the rulers are sampled
/// before, between and after rounds. A short pass is run again, up to eight times, before each
/// repetition, since the passes before it have emptied the caches. The result is the same on all
/// ranks.
[[nodiscard]] std::vector<Measurement> measure_in_turns(
    std::span<const std::unique_ptr<TimedPass>> passes, comm::Communicator& communicator,
    Rulers& rulers, Repetitions repetitions);

}  // namespace annulus::measure
