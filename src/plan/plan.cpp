#include "annulus/plan/plan.hpp"

#include <fmt/format.h>

#include "annulus/attention/partial_state.hpp"
#include "annulus/base/error.hpp"
#include "plan/schedules/schedules.hpp"
#include "plan/tables.hpp"

namespace annulus {
namespace {

/// Bytes of one row and head of an item.
Index bytes_of_row(const Problem& problem, What what, DataType type) {
  const auto element = static_cast<Index>(size_of(type));
  const auto sum = static_cast<Index>(size_of(accumulator_of(type)));
  const Index d = problem.head_dim;
  const Index d_v = problem.output_dim();
  switch (what) {
    case What::keys:
      return (d + d_v) * element;
    case What::key_gradients:
      return (d + d_v) * sum;
    case What::queries:
      return d * element +
             (problem.logit_scale.is_table() ? static_cast<Index>(sizeof(double)) : 0);
    case What::states:
      return state_width(d_v) * sum;
    case What::output_gradients:
      return d_v * element + 3 * sum;  // lse in two terms, and <dout, out>
    case What::query_gradients:
      return d * sum;
  }
  broken_invariant("an item of no kind");
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
  return item.rows.count() * item.heads.size() * bytes_of_row(problem(), item.what, data_type());
}

Item Plan::keys_of(int rank) const {
  return {.owner = rank, .rows = Rows({0, key_rows(rank)}), .heads = {0, problem().key_heads}};
}

Item Plan::queries_of(int rank) const {
  return {.what = What::queries,
          .owner = rank,
          .rows = Rows({0, query_rows(rank)}),
          .heads = {0, problem().query_heads}};
}

Program Plan::program(int rank, Pass pass) const {
  const auto schedule = schedules::schedule_of(*tables_, rank);
  Program forward;
  forward.steps.reserve(static_cast<std::size_t>(schedule->step_count()));
  for (int step = 0; step < schedule->step_count(); ++step) {
    forward.steps.push_back(schedule->step(step));
  }
  forward.kept = schedule->kept(forward.steps);
  return pass == Pass::forward ? std::move(forward) : schedule->backward(forward);
}

Program Plan::backward_program(int rank, const Program& forward) const {
  return schedules::schedule_of(*tables_, rank)->backward(forward);
}

std::size_t Plan::step_count() const {
  return static_cast<std::size_t>(schedules::schedule_of(*tables_, 0)->step_count());
}

std::vector<Step> Plan::steps(int rank, Interval which) const {
  const auto schedule = schedules::schedule_of(*tables_, rank);
  std::vector<Step> steps;
  for (Index at = which.begin; at < which.end; ++at) {
    steps.push_back(schedule->step(static_cast<int>(at)));
  }
  return steps;
}

std::vector<Block> Plan::blocks(const Compute& compute) const {
  std::vector<Shard> key_rows;
  for (const auto& keys : compute.keys) {
    key_rows.push_back(select(key_shard(keys.owner), keys.rows));
  }
  std::vector<Block> blocks;
  Index query_row = 0;
  for (const auto& queries : compute.queries) {
    const auto query_rows = select(query_shard(queries.owner), queries.rows);
    Index key_row = 0;
    for (const auto& rows : key_rows) {
      for (auto block : visible_blocks(problem(), query_rows, rows)) {
        block.queries.row += query_row;
        block.keys.row += key_row;
        blocks.push_back(block);
      }
      key_row += row_count(rows);
    }
    query_row += queries.rows.count();
  }
  return blocks;
}

std::vector<int> Plan::peers(int rank) const {
  if (tables_->schedule.movement != Movement::node_ring) return {rank};
  return tables_->circle.peers(rank);
}

int Plan::node_count() const {
  return tables_->schedule.movement == Movement::node_ring ? tables_->circle.nodes() : ranks();
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
