// The shards of a plan, and which of them are the cheapest.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/plan/cost.hpp"
#include "annulus/plan/plan.hpp"
#include "plan/tables.hpp"

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

Plan plan_with(const Problem& problem, const Topology& topology, Sharding sharding,
               Sharding key_sharding, const PlanOptions& options) {
  const int ranks = topology.ranks;
  const auto& documents = problem.documents;
  Plan::Tables tables{
      .problem = problem,
      .ranks = ranks,
      .sharding = sharding,
      .key_sharding = key_sharding,
      .data_type = options.data_type,
      .query_shards = make_shards(sharding, documents.query_offsets(), ranks,
                                  [&](const Run& run) { return area_of(problem, run); })};
  // The work is where the queries are.
  tables.key_shards = documents.self_attention() && sharding == key_sharding
                          ? tables.query_shards
                          : make_shards(key_sharding, documents.key_offsets(), ranks);
  const auto& keys = tables.key_shards;
  tables.largest_owner =
      static_cast<int>(std::ranges::max_element(keys, {}, row_count) - keys.begin());
  const auto schedule = options.schedule.value_or(fitting_schedule(topology, options.peer_memory));
  return scheduled(std::move(tables), schedule, topology);
}

}  // namespace

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
    const double seconds = cost_of(plan).seconds;
    if (!best || seconds < best_seconds) {
      best = std::move(plan);
      best_seconds = seconds;
    }
    if (topology.ranks == 1) break;  // all shardings are the same on one rank
  }
  return *std::move(best);
}

}  // namespace annulus
