#include "annulus/plan/plan.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/plan/cost.hpp"
#include "plan/ring_steps.hpp"

namespace annulus {
namespace {

/// The visible pairs of a run of queries.
Index area_of(const Problem& problem, const Run& queries) {
  const Shard keys{{.document = queries.document,
                    .first = 0,
                    .count = problem.documents.key_length(queries.document)}};
  Index area = 0;
  if (keys.front().count == 0) return area;
  for (const auto& block : visible_blocks(problem, {queries}, keys)) area += visible_area(block);
  return area;
}

/// The ranks that read each other's memory under `schedule`.
std::vector<std::vector<int>> nodes_for(Schedule schedule, const Topology& topology) {
  if (schedule == Schedule::ring) return ranks_of_nodes({.ranks = topology.ranks});
  auto nodes = ranks_of_nodes(topology);
  for (const auto& ranks : nodes) {
    if (ranks.size() == nodes.front().size()) continue;
    throw InputError(
        fmt::format("schedule node-ring: a node has {} ranks and another one {}; expected as many "
                    "on every node, or schedule ring",
                    nodes.front().size(), ranks.size()));
  }
  return nodes;
}

Plan plan_with(const Problem& problem, const Topology& topology, Sharding sharding,
               Sharding key_sharding, const PlanOptions& options) {
  const int ranks = topology.ranks;
  const auto& documents = problem.documents;
  Plan plan{.problem = problem,
            .ranks = ranks,
            .sharding = sharding,
            .key_sharding = key_sharding,
            .schedule = Schedule::ring,
            .data_type = options.data_type,
            .nodes = {},
            .query_shards = make_shards(sharding, documents.query_offsets(), ranks,
                                        [&](const Run& run) { return area_of(problem, run); }),
            .key_shards = {},
            .steps = {}};
  // The work is where the queries are.
  plan.key_shards = documents.self_attention() && sharding == key_sharding
                        ? plan.query_shards
                        : make_shards(key_sharding, documents.key_offsets(), ranks);
  return rescheduled(std::move(plan), topology, options.schedule);
}

}  // namespace

Index Plan::query_rows(int rank) const {
  return row_count(query_shards[static_cast<std::size_t>(rank)]);
}

Index Plan::key_rows(int rank) const {
  return row_count(key_shards[static_cast<std::size_t>(rank)]);
}

Index Plan::largest_key_shard() const {
  Index largest = 0;
  for (const auto& shard : key_shards) largest = std::max(largest, row_count(shard));
  return largest;
}

Index Plan::payload_bytes(int owner) const {
  return key_rows(owner) * problem.key_heads * (problem.head_dim + problem.output_dim()) *
         static_cast<Index>(size_of(data_type));
}

Index Plan::gradient_bytes(int owner) const {
  return key_rows(owner) * problem.key_heads * (problem.head_dim + problem.output_dim()) *
         static_cast<Index>(size_of(accumulator_of(data_type)));
}

std::vector<Block> Plan::blocks(int rank, int owner) const {
  return visible_blocks(problem, query_shards[static_cast<std::size_t>(rank)],
                        key_shards[static_cast<std::size_t>(owner)]);
}

const std::vector<int>& Plan::peers(int rank) const {
  for (const auto& node : nodes) {
    if (std::ranges::find(node, rank) != node.end()) return node;
  }
  broken_invariant("a plan puts every rank on a node");
}

Plan rescheduled(Plan plan, const Topology& topology, std::optional<Schedule> schedule) {
  if (topology.ranks != plan.ranks) {
    throw InputError(fmt::format("the plan is for {} ranks; the communicator has {}", plan.ranks,
                                 topology.ranks));
  }
  plan.schedule = schedule.value_or(fitting_schedule(topology));
  plan.nodes = nodes_for(plan.schedule, topology);
  plan.steps = ring_steps(plan);
  return plan;
}

Plan make_plan(const Problem& problem, const Topology& topology, const PlanOptions& options) {
  validate(problem);
  if (topology.ranks < 1) {
    throw InputError(fmt::format("a plan for {} ranks; expected at least 1", topology.ranks));
  }
  if (options.sharding) {
    return plan_with(problem, topology, *options.sharding,
                     options.key_sharding.value_or(*options.sharding), options);
  }
  std::optional<Plan> best;
  double best_seconds = 0;
  for (const auto sharding : all_shardings()) {
    auto plan =
        plan_with(problem, topology, sharding, options.key_sharding.value_or(sharding), options);
    const double seconds = cost_of(plan, options.machine).seconds;
    if (!best || seconds < best_seconds) {
      best = std::move(plan);
      best_seconds = seconds;
    }
    if (topology.ranks == 1) break;  // all shardings are the same on one rank
  }
  return *std::move(best);
}

}  // namespace annulus
