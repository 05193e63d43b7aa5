#pragma once
// Measurements as rows of a table, with the columns that benchmarks of passes have.

#include "annulus/attention/statistics.hpp"
#include "annulus/measure/measurement.hpp"
#include "annulus/plan/plan.hpp"
#include "cli/table.hpp"

namespace annulus::cli {

/// What a row of a benchmark of passes is about.
struct CaseCells {
  const Problem& problem;
  DataType type;
  Index ranks;
  Cell threads;
  Pass pass;
  Statistics statistics;
  std::string schedule;
  std::string sharding;
};

/// What a row of a table of measurements is about.
struct MeasuredCase {
  const Plan& plan;
  int threads;
  Pass pass;
  Statistics statistics;
  bool valid;
};

/// What every row of a benchmark of passes begins with, and the names of these columns.
[[nodiscard]] std::vector<std::string> case_columns();
[[nodiscard]] std::vector<Cell> case_cells(const CaseCells& of);

/// A table of measurements of one rank, beside the product by BLAS.
[[nodiscard]] Table measurement_table();
void add_measurement(Table& table, const MeasuredCase& measured,
                     const measure::Measurement& measurement);

}  // namespace annulus::cli
