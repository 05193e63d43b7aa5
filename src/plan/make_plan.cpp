// The shards of a plan, and which of them are the cheapest.
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/plan/cost.hpp"
#include "annulus/plan/plan.hpp"
#include "plan/tables.hpp"

namespace annulus {
namespace {

Plan plan_with(const Problem& problem, const Topology& topology, Sharding sharding,
               Sharding key_sharding, const Schedule& schedule, const PlanOptions& options) {
  auto shards = std::make_shared<PlannedShards>();
  shards->problem = problem;
  shards->ranks = topology.ranks;
  shards->sharding = sharding;
  shards->key_sharding = key_sharding;
  shards->data_type = options.data_type;
  const auto& documents = shards->problem.documents;
  // The work is where the queries are.
  shards->queries = make_shard_map(sharding, documents.query_offsets(), topology.ranks,
                                   [&](const Run& run) { return visible_area(problem, run); });
  shards->keys = documents.self_attention() && sharding == key_sharding
                     ? shards->queries
                     : make_shard_map(key_sharding, documents.key_offsets(), topology.ranks);
  return scheduled(std::move(shards), schedule, topology);
}

}  // namespace

Plan make_plan(const Problem& problem, const Topology& topology, const PlanOptions& options) {
  validate(problem);
  if (topology.ranks < 1) {
    throw InputError(fmt::format("a plan for {} ranks; expected at least 1", topology.ranks));
  }
  const auto schedule =
      options.schedule ? *options.schedule : fitting_schedule(topology, options.peer_memory);
  if (options.sharding) {
    return plan_with(problem, topology, *options.sharding,
                     options.key_sharding.value_or(*options.sharding), schedule, options);
  }
  constexpr double better = 0.999;  // than this, or the one that comes first is taken
  std::optional<Plan> best;
  double best_seconds = std::numeric_limits<double>::infinity();
  for (const auto sharding : all_shardings()) {
    auto plan = plan_with(problem, topology, sharding, options.key_sharding.value_or(sharding),
                          schedule, options);
    const double seconds = estimated_seconds(plan, best_seconds);
    if (!best || seconds < better * best_seconds) {
      best = std::move(plan);
      best_seconds = seconds;
    }
    if (topology.ranks == 1) break;  // all shardings are the same on one rank
  }
  return *std::move(best);
}

}  // namespace annulus
