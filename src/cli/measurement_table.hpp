#pragma once
// Measurements as rows of a table, with the columns that every benchmark has.

#include "annulus/attention/statistics.hpp"
#include "annulus/measure/measurement.hpp"
#include "annulus/plan/plan.hpp"
#include "cli/table.hpp"

namespace annulus::cli {

/// What a row of a table of measurements is about.
struct MeasuredCase {
  const Plan& plan;
  int threads;
  Pass pass;
  Statistics statistics;
  bool valid;
};

/// A table of measurements, with the columns that every benchmark has; measure::WithGemm::yes adds
/// those of the product by BLAS.
[[nodiscard]] Table measurement_table(measure::WithGemm gemm);
void add_measurement(Table& table, measure::WithGemm gemm, const MeasuredCase& measured,
                     const measure::Measurement& measurement);

}  // namespace annulus::cli
