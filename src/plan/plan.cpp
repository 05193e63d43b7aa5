#include "annulus/plan/plan.hpp"

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "plan/schedules/schedules.hpp"
#include "plan/some_of.hpp"
#include "plan/tables.hpp"

namespace annulus {
namespace {

/// Bytes of keys and values, or of their gradients, in `type`.
Index packed_bytes(const Problem& problem, Index rows, DataType type) {
  return rows * problem.key_heads * (problem.head_dim + problem.output_dim()) *
         static_cast<Index>(size_of(type));
}

}  // namespace

const Problem& Plan::problem() const {
  return tables_->shards->problem;
}

int Plan::ranks() const {
  return tables_->shards->ranks;
}

Sharding Plan::sharding() const {
  return tables_->shards->sharding;
}

Sharding Plan::key_sharding() const {
  return tables_->shards->key_sharding;
}

Schedule Plan::schedule() const {
  return tables_->schedule;
}

DataType Plan::data_type() const {
  return tables_->shards->data_type;
}

Shard Plan::query_shard(int rank) const {
  return tables_->shards->queries->of(rank);
}

Shard Plan::key_shard(int rank) const {
  return tables_->shards->keys->of(rank);
}

Index Plan::query_rows(int rank) const {
  return row_count(query_shard(rank));
}

Index Plan::key_rows(int rank) const {
  return row_count(key_shard(rank));
}

Index Plan::bytes(const Item& item) const {
  return packed_bytes(problem(), item.rows.count(),
                      item.what == What::keys ? data_type() : accumulator_of(data_type()));
}

Item Plan::keys_of(int rank) const {
  return {.owner = rank, .rows = Rows({0, key_rows(rank)})};
}

Program Plan::program(int rank, Pass pass) const {
  const auto schedule = schedules::schedule_of(*tables_, rank);
  Program forward;
  for (int step = 0; step < schedule->step_count(); ++step) {
    forward.steps.push_back(schedule->step(step));
  }
  forward.kept = schedule->kept();
  return pass == Pass::forward ? std::move(forward) : schedules::reversed(forward);
}

std::size_t Plan::step_count() const {
  return static_cast<std::size_t>(schedules::schedule_of(*tables_, 0)->step_count());
}

std::vector<Step> Plan::some_steps(int rank, std::size_t most) const {
  const auto schedule = schedules::schedule_of(*tables_, rank);
  std::vector<Step> steps;
  for (const int step : some_of(schedule->step_count(), static_cast<int>(most))) {
    steps.push_back(schedule->step(step));
  }
  return steps;
}

std::vector<Block> Plan::blocks(int rank, const Item& keys) const {
  return visible_blocks(problem(), query_shard(rank), select(key_shard(keys.owner), keys.rows));
}

std::vector<int> Plan::peers(int rank) const {
  return tables_->circle.peers(rank);
}

int Plan::node_count() const {
  return tables_->circle.nodes();
}

Index Plan::largest_key_rows() const {
  return tables_->largest_key_rows;
}

Index Plan::largest_received_rows() const {
  return tables_->largest_received_rows;
}

Plan Plan::with_schedule(Schedule schedule, const Topology& topology) const {
  if (topology.ranks != ranks()) {
    throw InputError(
        fmt::format("the plan is for {} ranks; the communicator has {}", ranks(), topology.ranks));
  }
  return scheduled(tables_->shards, schedule, topology);
}

}  // namespace annulus
