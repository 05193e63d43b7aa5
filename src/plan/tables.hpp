#pragma once
// What the answers of a plan are read from.

#include "annulus/plan/plan.hpp"

namespace annulus {

struct Plan::Tables {
  Problem problem;
  int ranks = 1;
  Sharding sharding = Sharding::contiguous;
  Sharding key_sharding = Sharding::contiguous;
  DataType data_type = DataType::float32;
  std::vector<Shard> query_shards{};  ///< one per rank, like key_shards
  std::vector<Shard> key_shards{};
  int largest_owner = 0;

  // What follows from the schedule.
  Schedule schedule = Schedule::ring;
  std::vector<std::vector<int>> nodes{};  ///< the ranks of each
  std::vector<std::size_t> node_of{};     ///< the node of each rank
  std::vector<Program> programs{};        ///< one per rank
  Index most_arrivals = 0;
};

/// A plan with the shards of `tables` and what follows from the schedule.
[[nodiscard]] Plan scheduled(Plan::Tables tables, Schedule schedule, const Topology& topology);

}  // namespace annulus
