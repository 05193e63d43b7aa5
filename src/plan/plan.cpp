#include "annulus/plan/plan.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/plan/cost.hpp"
#include "plan/schedule.hpp"

namespace annulus {
namespace {

Plan plan_with(const Problem& problem, int ranks, Sharding sharding, DataType data_type) {
  Plan plan{.problem = problem,
            .ranks = ranks,
            .sharding = sharding,
            .data_type = data_type,
            .query_shards = make_shards(sharding, problem.documents.query_offsets(), ranks),
            .key_shards = make_shards(sharding, problem.documents.key_offsets(), ranks),
            .steps = {}};
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
    return plan_with(problem, topology.ranks, *options.sharding, options.data_type);
  }
  std::optional<Plan> best;
  double best_seconds = 0;
  for (const auto sharding : all_shardings()) {
    auto plan = plan_with(problem, topology.ranks, sharding, options.data_type);
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
