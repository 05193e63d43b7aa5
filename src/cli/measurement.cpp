#include "cli/measurement.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cli/validation.hpp"

namespace annulus::cli {
namespace {

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// The repetitions of one pass.
struct Samples {
  int wanted = 0;
  bool is_short = false;
  std::vector<double> seconds{};
  std::vector<double> exposed{};

  void add(const TimedPass::Times& times) {
    seconds.push_back(times.seconds);
    exposed.push_back(times.exposed_seconds);
  }
};

/// A first run of a pass: how often it will be repeated.
Samples warm_up(TimedPass& pass, Repetitions repetitions) {
  // The caches of the machine are refilled in a small part of it.
  constexpr double short_seconds = 0.05;
  const auto times = pass.run();
  Samples samples{.wanted = repetitions.count, .is_short = times.seconds < short_seconds};
  if (times.seconds > repetitions.most_seconds) {
    samples.wanted = 1;
    samples.add(times);
  } else if (times.seconds * repetitions.count > repetitions.most_seconds) {
    samples.wanted = static_cast<int>(repetitions.most_seconds / times.seconds);
  }
  return samples;
}

Measurement measurement_of(const TimedPass& pass, const Samples& samples,
                           comm::Communicator& communicator, const Rulers& rulers) {
  Index bytes_sent = pass.bytes_sent();
  communicator.all_reduce(std::span(&bytes_sent, 1), comm::Reduction::sum);
  const auto [least, most] = std::ranges::minmax(samples.seconds);
  return {.repetitions = static_cast<int>(samples.seconds.size()),
          .median_seconds = median_of(samples.seconds),
          .least_seconds = least,
          .most_seconds = most,
          .exposed_seconds = median_of(samples.exposed),
          .flops = pass.flops(),
          .bytes_sent = bytes_sent,
          .ceilings = rulers.of(pass.plan().data_type)};
}

/// Documents cut so that all of them together have at most a few hundred queries and keys.
Documents shortened(const Documents& documents) {
  constexpr Index total = 384;
  constexpr Index most_documents = 8;
  const Index count = std::min(documents.count(), most_documents);
  const Index length = total / count;
  std::vector<Index> queries{0};
  std::vector<Index> keys{0};
  for (Index document = 0; document < count; ++document) {
    queries.push_back(queries.back() + std::min(length, documents.query_length(document)));
    keys.push_back(keys.back() + std::min(length, documents.key_length(document)));
  }
  return Documents::packed(std::move(queries), std::move(keys));
}

}  // namespace

std::vector<Measurement> measure_in_turns(std::span<const std::unique_ptr<TimedPass>> passes,
                                          comm::Communicator& communicator, Rulers& rulers,
                                          Repetitions repetitions) {
  std::vector<Samples> samples;
  for (const auto& pass : passes) samples.push_back(warm_up(*pass, repetitions));
  const auto is_wanting = [](const Samples& some) {
    return static_cast<int>(some.seconds.size()) < some.wanted;
  };
  rulers.sample();
  while (std::ranges::any_of(samples, is_wanting)) {
    for (std::size_t i = 0; i < passes.size(); ++i) {
      if (!is_wanting(samples[i])) continue;
      if (samples[i].is_short) passes[i]->run();
      samples[i].add(passes[i]->run());
    }
    rulers.sample();
  }
  std::vector<Measurement> measurements;
  for (std::size_t i = 0; i < passes.size(); ++i) {
    measurements.push_back(measurement_of(*passes[i], samples[i], communicator, rulers));
  }
  return measurements;
}

bool validate_before_timing(const Problem& problem, comm::Communicator& communicator,
                            const PlanOptions& options, const kernels::Kernel& kernel, int threads,
                            Pass pass, Statistics statistics, std::uint64_t seed) {
  Problem brief = problem;
  brief.documents = shortened(problem.documents);
  const auto what = pass == Pass::backward          ? Checked::backward
                    : statistics == Statistics::off ? Checked::forward_without_statistics
                                                    : Checked::forward;
  return validate_plan(make_plan(brief, communicator.topology(), options), communicator, kernel,
                       threads, what, seed)
      .valid();
}

Table measurement_table(WithGemm gemm) {
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
  if (gemm == WithGemm::yes) {
    columns.insert(columns.end(),
                   {"gemm_flops_per_second", "fraction_of_gemm", "copy_bytes_per_second"});
  }
  columns.insert(columns.end(), {"exposed_seconds", "bytes_sent", "verdict"});
  return Table(std::move(columns));
}

void add_measurement(Table& table, WithGemm gemm, const MeasuredCase& measured,
                     const Measurement& measurement) {
  const auto& problem = measured.plan.problem;
  const double speed = measurement.flops_per_second();
  std::vector<Cell> row{cell(problem.documents.queries()),
                        cell(problem.documents.keys()),
                        cell(problem.query_heads),
                        cell(problem.key_heads),
                        cell(problem.head_dim),
                        cell(problem.output_dim()),
                        cell(problem.documents.count()),
                        cell(problem.mask.name()),
                        cell(std::string(name_of(measured.plan.data_type))),
                        cell(Index{measured.plan.ranks}),
                        cell(Index{measured.threads}),
                        cell(std::string(measured.pass == Pass::backward ? "backward" : "forward")),
                        cell(std::string(measured.statistics == Statistics::on ? "on" : "off")),
                        cell(std::string(name_of(measured.plan.schedule))),
                        cell(std::string(name_of(measured.plan.sharding))),
                        cell(Index{measurement.repetitions}),
                        cell(measurement.median_seconds),
                        cell(measurement.least_seconds),
                        cell(measurement.most_seconds),
                        cell(measurement.flops),
                        cell(speed),
                        cell(measurement.ceilings.peak),
                        cell(speed / measurement.ceilings.peak, 3)};
  if (gemm == WithGemm::yes) {
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
