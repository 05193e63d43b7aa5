#include "annulus/plan/plan.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/plan/cost.hpp"
#include "plan/schedule.hpp"

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

Plan plan_with(const Problem& problem, int ranks, Sharding sharding, Sharding key_sharding,
               DataType data_type) {
  const auto& documents = problem.documents;
  Plan plan{.problem = problem,
            .ranks = ranks,
            .sharding = sharding,
            .key_sharding = key_sharding,
            .data_type = data_type,
            .query_shards = make_shards(sharding, documents.query_offsets(), ranks,
                                        [&](const Run& run) { return area_of(problem, run); }),
            .key_shards = {},
            .steps = {}};
  // The work is where the queries are.
  plan.key_shards = documents.self_attention() && sharding == key_sharding
                        ? plan.query_shards
                        : make_shards(key_sharding, documents.key_offsets(), ranks);
  plan.steps = ring_steps(plan);
  return plan;
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

Plan make_plan(const Problem& problem, const Topology& topology, const PlanOptions& options) {
  validate(problem);
  if (topology.ranks < 1) {
    throw InputError(fmt::format("a plan for {} ranks; expected at least 1", topology.ranks));
  }
  if (options.sharding) {
    return plan_with(problem, topology.ranks, *options.sharding,
                     options.key_sharding.value_or(*options.sharding), options.data_type);
  }
  std::optional<Plan> best;
  double best_seconds = 0;
  for (const auto sharding : all_shardings()) {
    auto plan = plan_with(problem, topology.ranks, sharding,
                          options.key_sharding.value_or(sharding), options.data_type);
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
