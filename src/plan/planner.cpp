#include "annulus/plan/planner.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "annulus/attention/documents.hpp"
#include "plan/schedules/schedules.hpp"
#include "plan/search.hpp"

namespace annulus {
namespace {

constexpr int many_ranks = 4096;  // more than these are too many to look at everything

/// What a choice is worth that is made before every pass.
PredictionOptions little_effort(int ranks, int threads) {
  return {.threads = threads, .most_ranks = ranks > many_ranks ? 2 : 8, .most_steps = 128};
}

/// Up to some number of ranks all of them are followed, and of more some that stand for all; long
/// programs are followed in parts.
PredictionOptions effort_for(int ranks, int threads) {
  constexpr int few = 64;
  if (ranks <= few) return {.threads = threads, .most_ranks = few};
  if (ranks <= many_ranks) return {.threads = threads, .most_ranks = 8, .most_steps = many_ranks};
  return {.threads = threads, .most_ranks = 2, .most_steps = 256};
}

const Machine& machine_of(const PlanOptions& options) {
  return options.machine != nullptr ? *options.machine : default_machine(options.peer_memory);
}

std::vector<Sharding> shardings_of(const Problem& problem, const Topology& topology,
                                   const PlanOptions& options) {
  if (options.sharding) return {*options.sharding};
  std::vector<Sharding> all(all_shardings().begin(), all_shardings().end());
  // It deals out what is uneven, rank by rank, and one document is evened out by the others.
  if (topology.ranks > many_ranks && problem.documents.count() == 1) {
    std::erase(all, Sharding::balanced);
  }
  return all;
}

std::vector<Schedule> schedules_of(const Problem& problem, const Topology& topology,
                                   const PlanOptions& options) {
  if (options.schedule) return {*options.schedule};
  auto all = schedules::candidates(
      {.problem = problem, .ranks = topology.ranks, .data_type = options.data_type}, topology,
      options.peer_memory, options.merges_states);
  if (topology.ranks > many_ranks) {
    std::erase_if(all, [&](const Schedule& schedule) {
      return problem.query_heads % schedule.heads != 0;  // others have more work than some
    });
  }
  return all;
}

/// The best of some shardings by one schedule, if it takes less than `effort.enough` seconds.
std::optional<Candidate> best_sharding(const Problem& problem, const Topology& topology,
                                       PlanOptions options, const std::vector<Sharding>& shardings,
                                       const PredictionOptions& effort) {
  constexpr double better = 0.99;  // than this, or of shardings the one that comes first is taken
  std::optional<Candidate> best;
  auto limited = effort;
  for (const auto sharding : shardings) {
    options.sharding = sharding;
    auto plan = make_plan(problem, topology, options);
    const auto prediction = predict(plan, topology, options.pass, machine_of(options), limited);
    if (prediction.seconds < (best ? better : 1) * limited.enough) {
      limited.enough = prediction.seconds;
      best = {std::move(plan), prediction};
    }
    if (topology.ranks == 1) break;  // all shardings are the same on one rank
  }
  return best;
}

/// By the simplest schedule, unless `options` has one.
Candidate simplest_plan(const Problem& problem, const Topology& topology, PlanOptions options) {
  if (!options.schedule) options.schedule = fitting_schedule(topology, options.peer_memory);
  return *best_sharding(problem, topology, options, shardings_of(problem, topology, options),
                        little_effort(topology.ranks, options.threads));
}

/// The shardings that schedules are compared with: of many ranks only the one that balances best,
/// which is the quickest where transfers cost nothing.
std::vector<Sharding> promising_shardings(const Problem& problem, const Topology& topology,
                                          PlanOptions options) {
  constexpr int few_ranks = 256;
  if (topology.ranks <= few_ranks) return shardings_of(problem, topology, options);
  auto ideal = machine_of(options);
  ideal.inside = {};
  ideal.between = {};
  options.machine = std::make_shared<const Machine>(std::move(ideal));
  return {simplest_plan(problem, topology, options).plan.sharding()};
}

}  // namespace

Plan best_plan(const Problem& problem, const Topology& topology, const PlanOptions& options) {
  auto best = simplest_plan(problem, topology, options);
  if (options.schedule || topology.ranks == 1 || topology.ranks > many_ranks) return best.plan;
  constexpr double worth_it = 0.97;
  const double others = worth_it * best.prediction.seconds;  // have to be better than that
  auto effort = little_effort(topology.ranks, options.threads);
  const auto shardings = promising_shardings(problem, topology, options);
  const auto simplest = best.plan.schedule();
  for (const auto& schedule : schedules_of(problem, topology, options)) {
    if (schedule == simplest) continue;
    auto other = options;
    other.schedule = schedule;
    effort.enough = std::min(others, best.prediction.seconds);
    if (auto found = best_sharding(problem, topology, other, shardings, effort)) {
      best = *std::move(found);
    }
  }
  return best.plan;
}

std::vector<Candidate> rank_plans(const Problem& problem, const Topology& topology,
                                  const PlanOptions& options) {
  const auto shardings = promising_shardings(problem, topology, options);
  std::vector<Candidate> candidates;
  for (const auto& schedule : schedules_of(problem, topology, options)) {
    auto with_schedule = options;
    with_schedule.schedule = schedule;
    candidates.push_back(*best_sharding(problem, topology, with_schedule, shardings,
                                        effort_for(topology.ranks, options.threads)));
  }
  std::ranges::stable_sort(candidates, {},
                           [](const Candidate& candidate) { return candidate.prediction.seconds; });
  return candidates;
}

std::string reason(const Prediction& prediction) {
  if (prediction.seconds == 0) return "there is nothing to compute";
  constexpr double little = 0.02;
  const double lost = 1 - prediction.compute_seconds / prediction.seconds;
  const double uneven = prediction.compute_seconds / prediction.mean_seconds;
  std::string text = lost < little ? std::string("transfers hide behind computing")
                                   : fmt::format("{:.0f} % of it is no computing", 100 * lost);
  if (lost >= little && prediction.link_seconds > (1 - little) * prediction.seconds) {
    text += ": links between nodes are busy all the time";
  }
  if (uneven > 1 + little) {
    text += fmt::format("; the busiest rank computes {:.2f} times the mean", uneven);
  }
  return text;
}

Index hidden_from(const Candidate& candidate, const Topology& topology,
                  const PlanOptions& options) {
  constexpr double exposed = 0.01;
  constexpr Index most = Index{1} << 31;
  auto chosen = options;
  chosen.schedule = candidate.plan.schedule();
  chosen.sharding = candidate.plan.sharding();
  const auto is_hidden = [&](Index length) {
    auto problem = candidate.plan.problem();
    problem.documents = Documents::single(length);
    const auto prediction =
        predict(make_plan(problem, topology, chosen), topology, options.pass, machine_of(options),
                little_effort(topology.ranks, options.threads));
    return prediction.seconds - prediction.compute_seconds < exposed * prediction.seconds;
  };
  // Every so many per cent of a length; the longer, the better they hide.
  Index length = most;
  if (!is_hidden(length)) return 0;
  Index shown = topology.ranks / 2;  // not hidden, or one row a rank
  while (length - shown > std::max<Index>(1, length / 10)) {
    const auto product =
        static_cast<double>(std::max<Index>(shown, 1)) * static_cast<double>(length);
    const Index middle = std::max(static_cast<Index>(std::sqrt(product)), shown + 1);
    (is_hidden(middle) ? length : shown) = middle;
  }
  return length;
}

}  // namespace annulus
