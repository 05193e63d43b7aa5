#pragma once
// How long plans take.

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>

#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/plan.hpp"
#include "cli/rulers.hpp"
#include "cli/table.hpp"
#include "cli/timed_pass.hpp"

namespace annulus::cli {

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

/// Collective. Whether a short version of `plan`'s problem (documents cut to a few hundred rows)
/// agrees with the reference on these ranks: nothing is timed that is wrong.
[[nodiscard]] bool validate_before_timing(const Problem& problem, comm::Communicator& communicator,
                                          const PlanOptions& options, const kernels::Kernel& kernel,
                                          int threads, Pass pass, Statistics statistics,
                                          std::uint64_t seed);

/// What a row of a table of measurements is about.
struct MeasuredCase {
  const Plan& plan;
  int threads;
  Pass pass;
  Statistics statistics;
  bool valid;
};

/// A table of measurements, with the columns that every benchmark has; WithGemm::yes adds those of
/// the product by BLAS.
[[nodiscard]] Table measurement_table(WithGemm gemm);
void add_measurement(Table& table, WithGemm gemm, const MeasuredCase& measured,
                     const Measurement& measurement);

}  // namespace annulus::cli
