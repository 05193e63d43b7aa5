#include "annulus/plan/plan.hpp"

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "plan/tables.hpp"

namespace annulus {
namespace {

std::size_t at(int rank) {
  return static_cast<std::size_t>(rank);
}

/// Bytes of keys and values, or of their gradients, in `type`.
Index packed_bytes(const Problem& problem, Index rows, DataType type) {
  return rows * problem.key_heads * (problem.head_dim + problem.output_dim()) *
         static_cast<Index>(size_of(type));
}

}  // namespace

const Problem& Plan::problem() const {
  return tables_->problem;
}

int Plan::ranks() const {
  return tables_->ranks;
}

Sharding Plan::sharding() const {
  return tables_->sharding;
}

Sharding Plan::key_sharding() const {
  return tables_->key_sharding;
}

Schedule Plan::schedule() const {
  return tables_->schedule;
}

DataType Plan::data_type() const {
  return tables_->data_type;
}

const Shard& Plan::query_shard(int rank) const {
  return tables_->query_shards[at(rank)];
}

const Shard& Plan::key_shard(int rank) const {
  return tables_->key_shards[at(rank)];
}

Index Plan::query_rows(int rank) const {
  return row_count(query_shard(rank));
}

Index Plan::key_rows(int rank) const {
  return row_count(key_shard(rank));
}

Index Plan::payload_bytes(int owner) const {
  return packed_bytes(problem(), key_rows(owner), data_type());
}

Index Plan::gradient_bytes(int owner) const {
  return packed_bytes(problem(), key_rows(owner), accumulator_of(data_type()));
}

const Program& Plan::program(int rank) const {
  return tables_->programs[at(rank)];
}

std::size_t Plan::step_count() const {
  return tables_->programs.front().size();
}

std::vector<Block> Plan::blocks(int rank, int owner) const {
  return visible_blocks(problem(), query_shard(rank), key_shard(owner));
}

const std::vector<int>& Plan::peers(int rank) const {
  return tables_->nodes[tables_->node_of[at(rank)]];
}

int Plan::node_count() const {
  return static_cast<int>(tables_->nodes.size());
}

int Plan::largest_owner() const {
  return tables_->largest_owner;
}

Index Plan::most_arrivals() const {
  return tables_->most_arrivals;
}

Plan Plan::with_schedule(Schedule schedule, const Topology& topology) const {
  if (topology.ranks != ranks()) {
    throw InputError(
        fmt::format("the plan is for {} ranks; the communicator has {}", ranks(), topology.ranks));
  }
  return scheduled(*tables_, schedule, topology);
}

}  // namespace annulus
