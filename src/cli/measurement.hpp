#pragma once
// How long a plan takes.

#include <cstdint>
#include <string>

#include "annulus/comm/communicator.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/memory.hpp"
#include "annulus/plan/plan.hpp"
#include "cli/table.hpp"

namespace annulus::cli {

/// Over repetitions; each time is the maximum over ranks.
struct Measurement {
  double median_seconds = 0;
  double least_seconds = 0;
  double most_seconds = 0;
  double exposed_seconds = 0;  ///< median: waiting for transfers with nothing to compute
  double peak_flops = 0;       ///< FLOP/s of fused multiply-adds on all ranks at once
  double flops = 0;            ///< of one pass, from the exact visible area
  Index bytes_sent = 0;        ///< of one pass, all ranks

  [[nodiscard]] double flops_per_second() const { return flops / median_seconds; }
  [[nodiscard]] double fraction_of_peak() const { return flops_per_second() / peak_flops; }
};

/// Collective. Runs `pass` of `plan` on random inputs once to warm up and then
/// `repetitions` times, each after a barrier; the peak is measured before and after in the same
/// way, and the larger counts. The result is the same on all ranks.
[[nodiscard]] Measurement measure(const Plan& plan, comm::Communicator& communicator,
                                  const kernels::Kernel& kernel, int threads, Pass pass,
                                  int repetitions, std::uint64_t seed);

/// Collective. Whether a short version of `problem` (documents cut to a few hundred rows) agrees
/// with the reference on these ranks: nothing is timed that is wrong.
[[nodiscard]] bool validate_before_timing(const Problem& problem, comm::Communicator& communicator,
                                          const PlanOptions& options, const kernels::Kernel& kernel,
                                          int threads, Pass pass, std::uint64_t seed);

/// A table of measurements, with the columns that every benchmark has.
[[nodiscard]] Table measurement_table();
void add_measurement(Table& table, const Plan& plan, int threads, Pass pass, bool valid,
                     const Measurement& measurement);

}  // namespace annulus::cli
