#include "annulus/measure/measurement.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

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
          .ceilings = rulers.of(pass.plan().data_type())};
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

}  // namespace annulus::measure
