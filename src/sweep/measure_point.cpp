#include <algorithm>
#include <array>
#include <memory>
#include <string>

#include "annulus/base/error.hpp"
#include "annulus/measure/transfers.hpp"
#include "annulus/plan/prediction.hpp"
#include "annulus/ring/memory_check.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "annulus/sweep/sweep.hpp"
#include "annulus/verify/validation.hpp"

namespace annulus::sweep {
namespace {

int nodes_of(const Topology& topology) {
  return static_cast<int>(ranks_of_nodes(topology).size());
}

template <class List, class Value>
std::vector<double> numbers_of(const std::vector<List>& list, Value value) {
  std::vector<double> all;
  for (const auto& one : list) all.push_back(one.*value);
  return all;
}

void add(Record& record, const measure::Measurement& measured) {
  using measure::RankRun;
  using measure::StepTimes;
  record.repetitions = measured.repetitions;
  record.seconds = measured.median_seconds;
  record.seconds_min = measured.least_seconds;
  record.seconds_max = measured.most_seconds;
  record.exposed_seconds = measured.exposed_seconds;
  record.flops = measured.flops;
  record.peak_flops_per_second = measured.ceilings.peak;
  record.bytes_sent = static_cast<double>(measured.bytes_sent);
  record.bytes_between_nodes = static_cast<double>(measured.sum(&RankRun::bytes_between_nodes));
  record.messages_sent = static_cast<double>(measured.sum(&RankRun::messages_sent));
  record.bandwidth = measured.bandwidth();
  record.overlap = measured.overlap();
  record.balance = measured.balance();
  record.samples = measured.seconds;
  record.exposed_samples = measured.exposed;
  record.rank_seconds = numbers_of(measured.ranks, &RankRun::seconds);
  record.rank_compute_seconds = numbers_of(measured.ranks, &RankRun::compute_seconds);
  record.rank_exposed_seconds = numbers_of(measured.ranks, &RankRun::exposed_seconds);
  record.step_compute_mean = numbers_of(measured.steps, &StepTimes::mean_compute_seconds);
  record.step_compute_max = numbers_of(measured.steps, &StepTimes::most_compute_seconds);
  record.step_exposed_mean = numbers_of(measured.steps, &StepTimes::mean_exposed_seconds);
  record.step_exposed_max = numbers_of(measured.steps, &StepTimes::most_exposed_seconds);
}

measure::Measurement time(const Plan& plan, Pass pass, const Resources& resources,
                          const Measuring& measuring,
                          const std::shared_ptr<device::Stream>& stream) {
  auto& communicator = resources.communicator;
  const auto inputs = measure::timed_inputs(plan, communicator.rank(), measuring.seed, stream);
  std::array<std::unique_ptr<measure::TimedPass>, 1> timed{std::make_unique<measure::TimedPass>(
      plan, pass, Statistics::off, inputs, communicator, resources.kernel_of(plan.data_type()),
      resources.cores.threads)};
  timed.front()->trace(measuring.traces);
  measure::Rulers rulers({plan.data_type()}, communicator, resources.cores, measure::WithGemm::no,
                         stream);
  return measure::measure_in_turns(timed, communicator, rulers, measuring.repetitions).front();
}

/// The plan of a point; none where its schedule does not fit the ranks, for which `reason` is why.
std::optional<Plan> plan_of(const Point& point, const Topology& topology, std::string& reason) {
  try {
    return make_plan(point.problem, topology, point.options);
  } catch (const InputError& error) {
    reason = error.what();
    return std::nullopt;
  }
}

Topology first_of(const Topology& topology, int ranks) {
  Topology first{.ranks = ranks, .node_of = topology.node_of};
  if (!first.node_of.empty()) first.node_of.resize(static_cast<std::size_t>(ranks));
  return first;
}

}  // namespace

void check_schedules(std::span<const Point> points, const Topology& topology) {
  const auto may_be_measured = [&](const Point& point) {
    std::string reason;
    return point.ranks > topology.ranks ||
           plan_of(point, first_of(topology, point.ranks), reason).has_value();
  };
  if (points.empty() || std::ranges::any_of(points, may_be_measured)) return;
  const auto& first = points.front();
  static_cast<void>(make_plan(first.problem, first_of(topology, first.ranks), first.options));
}

void check_kernels(std::span<const Point> points, const Topology& topology,
                   const KernelOf& kernel_of) {
  for (const auto& point : points) {
    if (point.ranks > topology.ranks) continue;
    std::string reason;
    const auto plan = plan_of(point, first_of(topology, point.ranks), reason);
    if (plan) check_plan(*plan, kernel_of(point.options.data_type));
  }
}

Record measure_point(const Point& point, const Resources& resources, const Measuring& measuring) {
  auto& communicator = resources.communicator;
  Record record;
  record.threads = resources.cores.threads;
  record.nodes = nodes_of(communicator.topology());
  const auto plan = plan_of(point, communicator.topology(), record.reason);
  if (!plan) {
    record.verdict = "UNFIT";
    return record;
  }
  record.schedule = name_of(plan->schedule());
  record.sharding = name_of(plan->sharding());
  const auto& kernel = resources.kernel_of(plan->data_type());
  if (kernel.device() == DeviceKind::cpu) check_memory(*plan, point.pass, communicator);
  auto chosen = point.options;
  chosen.schedule = plan->schedule();
  chosen.sharding = plan->sharding();
  chosen.key_sharding = plan->key_sharding();
  const bool valid =
      verify::validate_briefly(point.problem, communicator, chosen, kernel, resources.cores.threads,
                               verify::checked_of(point.pass, Statistics::off), measuring.seed);
  record.verdict = valid ? "VALID" : "INVALID";
  if (!valid) return record;
  if (measuring.predicts) {
    const auto prediction = predict(*plan, communicator.topology(), point.pass,
                                    *point.options.machine, {.threads = point.options.threads});
    record.predicted_seconds = prediction.seconds;
    record.predicted_exposed_seconds = prediction.exposed_seconds;
  }
  const auto stream =
      kernel.open_stream(place_on_node(communicator.topology(), communicator.rank()));
  add(record, time(*plan, point.pass, resources, measuring, stream));
  const double alone = measure::seconds_of_transfers_alone(*plan, point.pass, communicator, stream);
  record.link_bandwidth = record.bytes_sent / communicator.size() / alone;
  return record;
}

}  // namespace annulus::sweep
