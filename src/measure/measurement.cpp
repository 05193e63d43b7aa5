#include "annulus/measure/measurement.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <span>
#include <vector>

#include "kernels/rulers/clock.hpp"

namespace annulus::measure {
namespace {

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// The repetitions of one pass.
struct Samples {
  int wanted = 0;
  int refilling_runs = 0;
  std::vector<double> seconds{};
  std::vector<double> exposed{};
  std::vector<RankRun> own{};     ///< of this rank
  kernels::ClockSamples clock{};  ///< of runs in which a microsecond does not count

  void add(const TimedPass::Times& times, const RankRun& run) {
    seconds.push_back(times.seconds);
    exposed.push_back(times.exposed_seconds);
    own.push_back(run);
  }

  /// The repetition that took the median time, or the one below it.
  [[nodiscard]] std::size_t typical() const {
    std::vector<std::size_t> order(seconds.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, {}, [&](std::size_t at) { return seconds[at]; });
    return order[(order.size() - 1) / 2];
  }
};

/// Everybody's, by rank, without steps. Collective.
std::vector<RankRun> gather(comm::Communicator& communicator, const RankRun& own) {
  const std::array numbers{own.seconds,
                           own.compute_seconds,
                           own.exposed_seconds,
                           own.transfer_seconds,
                           own.exposed_transfer_seconds,
                           static_cast<double>(own.bytes_sent),
                           static_cast<double>(own.bytes_between_nodes),
                           static_cast<double>(own.messages_sent)};
  std::vector<RankRun> all;
  for (const auto& bytes : communicator.all_gather(std::as_bytes(std::span(numbers)))) {
    auto theirs = numbers;
    std::ranges::copy(bytes, std::as_writable_bytes(std::span(theirs)).begin());
    all.push_back({.seconds = theirs[0],
                   .compute_seconds = theirs[1],
                   .exposed_seconds = theirs[2],
                   .transfer_seconds = theirs[3],
                   .exposed_transfer_seconds = theirs[4],
                   .bytes_sent = static_cast<Index>(theirs[5]),
                   .bytes_between_nodes = static_cast<Index>(theirs[6]),
                   .messages_sent = static_cast<Index>(theirs[7])});
  }
  return all;
}

/// Collective; all ranks have as many steps.
std::vector<StepTimes> over_ranks(comm::Communicator& communicator,
                                  const std::vector<StepRun>& own) {
  std::vector<double> sums;
  for (const auto& step : own) {
    sums.insert(sums.end(), {step.compute_seconds, step.exposed_seconds});
  }
  auto most = sums;
  communicator.all_reduce(sums, comm::Reduction::sum);
  communicator.all_reduce(most, comm::Reduction::maximum);
  std::vector<StepTimes> steps;
  for (std::size_t i = 0; i < sums.size(); i += 2) {
    steps.push_back({.mean_compute_seconds = sums[i] / communicator.size(),
                     .most_compute_seconds = most[i],
                     .mean_exposed_seconds = sums[i + 1] / communicator.size(),
                     .most_exposed_seconds = most[i + 1]});
  }
  return steps;
}

/// Runs before each repetition of a pass that takes so long, others having run before them: caches
/// and predictors are those of a pass after itself by the eighth, or after 10 ms.
int refilling_runs(double seconds) {
  constexpr double short_seconds = 0.05;  // of longer passes that is a small part
  constexpr double enough_seconds = 0.01;
  constexpr double most_runs = 8;
  if (seconds >= short_seconds) return 0;
  return static_cast<int>(std::clamp(enough_seconds / seconds, 1.0, most_runs));
}

/// The first runs of a pass: how often it will be repeated.
Samples warm_up(TimedPass& pass, Repetitions repetitions) {
  for (int run = 1; run < repetitions.warm_up; ++run) pass.run();
  const auto times = pass.run();
  Samples samples{.wanted = repetitions.count, .refilling_runs = refilling_runs(times.seconds)};
  if (times.seconds > repetitions.most_seconds) {
    samples.wanted = 1;
    samples.add(times, pass.last());
  } else if (times.seconds * repetitions.count > repetitions.most_seconds) {
    samples.wanted = static_cast<int>(repetitions.most_seconds / times.seconds);
  }
  return samples;
}

Measurement measurement_of(const TimedPass& pass, const Samples& samples,
                           comm::Communicator& communicator, const Rulers& rulers) {
  const auto& typical = samples.own[samples.typical()];
  const auto ranks = gather(communicator, typical);
  const auto [least, most] = std::ranges::minmax(samples.seconds);
  Measurement measured{.repetitions = static_cast<int>(samples.seconds.size()),
                       .median_seconds = median_of(samples.seconds),
                       .least_seconds = least,
                       .most_seconds = most,
                       .exposed_seconds = median_of(samples.exposed),
                       .flops = pass.flops(),
                       .ceilings = rulers.of(pass.plan().data_type()),
                       .chain_seconds = samples.clock.seconds(),
                       .seconds = samples.seconds,
                       .exposed = samples.exposed,
                       .ranks = ranks,
                       .steps = over_ranks(communicator, typical.steps)};
  measured.bytes_sent = measured.sum(&RankRun::bytes_sent);
  return measured;
}

}  // namespace

double Measurement::bandwidth() const {
  return static_cast<double>(sum(&RankRun::bytes_sent)) / sum(&RankRun::transfer_seconds);
}

double Measurement::overlap() const {
  return 1 - sum(&RankRun::exposed_transfer_seconds) / sum(&RankRun::transfer_seconds);
}

double Measurement::relative_clock() const {
  return ceilings.chain_seconds / chain_seconds;
}

double Measurement::balance() const {
  double longest = 0;
  for (const auto& rank : ranks) longest = std::max(longest, rank.compute_seconds);
  return sum(&RankRun::compute_seconds) / (static_cast<double>(ranks.size()) * longest);
}

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
      auto& some = samples[i];
      // Between tiles, where several ranks may wait.
      auto* clock = communicator.size() == 1 ? &some.clock : nullptr;
      for (int run = 0; run < some.refilling_runs; ++run) passes[i]->run(clock);
      const auto times = passes[i]->run(some.refilling_runs > 0 ? nullptr : clock);
      some.add(times, passes[i]->last());
    }
    rulers.sample();
  }
  std::vector<Measurement> measurements;
  for (std::size_t i = 0; i < passes.size(); ++i) {
    measurements.push_back(measurement_of(*passes[i], samples[i], communicator, rulers));
  }
  return measurements;
}

}  // namespace annulus::measure
