#include "cli/scaling_table.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "cli/measurement_table.hpp"

namespace annulus::cli {
namespace {

using sweep::Point;
using sweep::Record;

bool same_series(const Point& one, const Point& other) {
  return one.length == other.length && one.problem.mask.name() == other.problem.mask.name() &&
         one.pass == other.pass && one.options.data_type == other.options.data_type &&
         one.options.schedule == other.options.schedule &&
         one.options.sharding == other.options.sharding;
}

/// A whole number that was stored as a double.
Cell count_cell(double value) {
  return std::isnan(value) ? cell(value) : cell(static_cast<std::int64_t>(value));
}

Cell samples_cell(const std::vector<double>& samples) {
  return {samples, {}};
}

}  // namespace

Table scaling_table(std::span<const Point> points, std::span<const Record> records) {
  auto columns = case_columns();
  columns.insert(columns.end(), {"length",
                                 "asked_schedule",
                                 "nodes",
                                 "repetitions",
                                 "seconds",
                                 "seconds_min",
                                 "seconds_max",
                                 "samples",
                                 "speedup",
                                 "efficiency",
                                 "flops",
                                 "flops_per_second",
                                 "peak_flops_per_second",
                                 "fraction_of_peak",
                                 "exposed_seconds",
                                 "predicted_seconds",
                                 "predicted_exposed_seconds",
                                 "overlap",
                                 "balance",
                                 "bytes_sent",
                                 "bytes_between_nodes",
                                 "messages_sent",
                                 "bandwidth",
                                 "link_bandwidth",
                                 "verdict"});
  Table table(std::move(columns));
  const auto speedup_of = [&](std::size_t at) {
    std::size_t base = at;
    for (std::size_t i = 0; i < points.size(); ++i) {
      if (std::isnan(records[i].seconds) || !same_series(points[i], points[at])) continue;
      if (points[i].ranks < points[base].ranks) base = i;
    }
    return std::pair{records[at].flops_per_second() / records[base].flops_per_second(),
                     static_cast<double>(points[base].ranks) / points[at].ranks};
  };
  for (std::size_t i = 0; i < points.size(); ++i) {
    const auto& point = points[i];
    const auto& record = records[i];
    if (!record.finished()) continue;
    const auto [speedup, ratio] = speedup_of(i);
    auto row = case_cells({point.problem, point.options.data_type, Index{point.ranks},
                           count_cell(record.threads), point.pass, Statistics::off, record.schedule,
                           record.sharding});
    row.insert(row.end(), {cell(point.length),
                           cell(sweep::name_or_auto(point.options.schedule)),
                           count_cell(record.nodes),
                           cell(static_cast<std::int64_t>(record.samples.size())),
                           cell(record.seconds),
                           cell(record.seconds_min),
                           cell(record.seconds_max),
                           samples_cell(record.samples),
                           cell(speedup),
                           cell(speedup * ratio, 3),
                           cell(record.flops),
                           cell(record.flops_per_second()),
                           cell(record.peak_flops_per_second),
                           cell(record.flops_per_second() / record.peak_flops_per_second, 3),
                           cell(record.exposed_seconds, 3),
                           cell(record.predicted_seconds),
                           cell(record.predicted_exposed_seconds, 3),
                           cell(record.overlap, 3),
                           cell(record.balance, 3),
                           count_cell(record.bytes_sent),
                           count_cell(record.bytes_between_nodes),
                           count_cell(record.messages_sent),
                           cell(record.bandwidth),
                           cell(record.link_bandwidth),
                           cell(record.verdict)});
    table.add(std::move(row));
  }
  return table;
}

std::string scaling_text(const Table& table, std::span<const Point> points, bool predicted) {
  std::vector<std::string> left_out{"statistics",
                                    "length",
                                    "samples",
                                    "flops",
                                    "peak_flops_per_second",
                                    "messages_sent",
                                    "predicted_exposed_seconds"};
  if (!predicted) left_out.emplace_back("predicted_seconds");
  // Where some schedules are chosen and others named, rows may be of the same one.
  const auto named = [](const Point& point) { return point.options.schedule.has_value(); };
  if (std::ranges::none_of(points, named) || std::ranges::all_of(points, named)) {
    left_out.emplace_back("asked_schedule");
  }
  return table.without(left_out).folded_text({"ranks", "seconds", "seconds_min", "seconds_max",
                                              "speedup", "efficiency", "flops_per_second",
                                              "fraction_of_peak", "exposed_seconds",
                                              "predicted_seconds", "balance", "verdict"});
}

}  // namespace annulus::cli
