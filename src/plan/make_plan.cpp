// The shards of a plan.
#include <utility>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/plan/plan.hpp"
#include "plan/search.hpp"
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
  if (!options.sharding || !options.schedule) return best_plan(problem, topology, options);
  return plan_with(problem, topology, *options.sharding,
                   options.key_sharding.value_or(*options.sharding), *options.schedule, options);
}

}  // namespace annulus
