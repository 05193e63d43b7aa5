#include "cli/measurement_table.hpp"

#include <string>
#include <utility>
#include <vector>

namespace annulus::cli {

std::vector<std::string> case_columns() {
  return {"n_q",       "n_k",       "heads",      "key_heads", "head_dim",
          "value_dim", "documents", "mask",       "precision", "ranks",
          "threads",   "pass",      "statistics", "schedule",  "sharding"};
}

std::vector<Cell> case_cells(const CaseCells& of) {
  const auto& problem = of.problem;
  return {cell(problem.documents.queries()),
          cell(problem.documents.keys()),
          cell(problem.query_heads),
          cell(problem.key_heads),
          cell(problem.head_dim),
          cell(problem.output_dim()),
          cell(problem.documents.count()),
          cell(problem.mask.name()),
          cell(std::string(name_of(of.type))),
          cell(of.ranks),
          of.threads,
          cell(std::string(name_of(of.pass))),
          cell(std::string(of.statistics == Statistics::on ? "on" : "off")),
          cell(of.schedule),
          cell(of.sharding)};
}

Table measurement_table() {
  auto columns = case_columns();
  columns.insert(
      columns.end(),
      {"repetitions", "seconds", "seconds_min", "seconds_max", "flops", "flops_per_second",
       "peak_flops_per_second", "fraction_of_peak", "relative_clock", "gemm_flops_per_second",
       "fraction_of_gemm", "copy_bytes_per_second", "exposed_seconds", "bytes_sent", "verdict"});
  return Table(std::move(columns));
}

void add_measurement(Table& table, const MeasuredCase& measured,
                     const measure::Measurement& measurement) {
  const auto& plan = measured.plan;
  const double speed = measurement.flops_per_second();
  auto row = case_cells({plan.problem(), plan.data_type(), Index{plan.ranks()},
                         cell(Index{measured.threads}), measured.pass, measured.statistics,
                         name_of(plan.schedule()), std::string(name_of(plan.sharding()))});
  row.insert(
      row.end(),
      {cell(Index{measurement.repetitions}), cell(measurement.median_seconds),
       cell(measurement.least_seconds), cell(measurement.most_seconds), cell(measurement.flops),
       cell(speed), cell(measurement.ceilings.peak), cell(speed / measurement.ceilings.peak, 3),
       cell(measurement.relative_clock(), 3), cell(measurement.ceilings.gemm),
       cell(speed / measurement.ceilings.gemm, 3), cell(measurement.ceilings.copy),
       cell(measurement.exposed_seconds, 3), cell(measurement.bytes_sent),
       cell(std::string(measured.valid ? "VALID" : "INVALID"))});
  table.add(std::move(row));
}

}  // namespace annulus::cli
