#include "cli/measurement_table.hpp"

#include <string>
#include <utility>
#include <vector>

namespace annulus::cli {

Table measurement_table(measure::WithGemm gemm) {
  std::vector<std::string> columns{"n_q",
                                   "n_k",
                                   "heads",
                                   "key_heads",
                                   "head_dim",
                                   "value_dim",
                                   "documents",
                                   "mask",
                                   "precision",
                                   "ranks",
                                   "threads",
                                   "pass",
                                   "statistics",
                                   "schedule",
                                   "sharding",
                                   "repetitions",
                                   "seconds",
                                   "seconds_min",
                                   "seconds_max",
                                   "flops",
                                   "flops_per_second",
                                   "peak_flops_per_second",
                                   "fraction_of_peak"};
  if (gemm == measure::WithGemm::yes) {
    columns.insert(columns.end(),
                   {"gemm_flops_per_second", "fraction_of_gemm", "copy_bytes_per_second"});
  }
  columns.insert(columns.end(), {"exposed_seconds", "bytes_sent", "verdict"});
  return Table(std::move(columns));
}

void add_measurement(Table& table, measure::WithGemm gemm, const MeasuredCase& measured,
                     const measure::Measurement& measurement) {
  const auto& problem = measured.plan.problem();
  const double speed = measurement.flops_per_second();
  std::vector<Cell> row{cell(problem.documents.queries()),
                        cell(problem.documents.keys()),
                        cell(problem.query_heads),
                        cell(problem.key_heads),
                        cell(problem.head_dim),
                        cell(problem.output_dim()),
                        cell(problem.documents.count()),
                        cell(problem.mask.name()),
                        cell(std::string(name_of(measured.plan.data_type()))),
                        cell(Index{measured.plan.ranks()}),
                        cell(Index{measured.threads}),
                        cell(std::string(name_of(measured.pass))),
                        cell(std::string(measured.statistics == Statistics::on ? "on" : "off")),
                        cell(std::string(name_of(measured.plan.schedule()))),
                        cell(std::string(name_of(measured.plan.sharding()))),
                        cell(Index{measurement.repetitions}),
                        cell(measurement.median_seconds),
                        cell(measurement.least_seconds),
                        cell(measurement.most_seconds),
                        cell(measurement.flops),
                        cell(speed),
                        cell(measurement.ceilings.peak),
                        cell(speed / measurement.ceilings.peak, 3)};
  if (gemm == measure::WithGemm::yes) {
    row.push_back(cell(measurement.ceilings.gemm));
    row.push_back(cell(speed / measurement.ceilings.gemm, 3));
    row.push_back(cell(measurement.ceilings.copy));
  }
  row.push_back(cell(measurement.exposed_seconds, 3));
  row.push_back(cell(measurement.bytes_sent));
  row.push_back(cell(std::string(measured.valid ? "VALID" : "INVALID")));
  table.add(std::move(row));
}

}  // namespace annulus::cli
