#pragma once
// What the answers of a plan follow from: small, and the same on all ranks.

#include <memory>

#include "annulus/plan/plan.hpp"
#include "plan/circle.hpp"
#include "plan/journey.hpp"
#include "plan/shard_map.hpp"

namespace annulus {

/// What a schedule has no part in.
struct PlannedShards {
  Problem problem;
  int ranks = 1;
  Sharding sharding = Sharding::contiguous;
  Sharding key_sharding = Sharding::contiguous;
  DataType data_type = DataType::float32;
  std::shared_ptr<const ShardMap> queries{};  ///< of the offsets of `problem`, likewise keys
  std::shared_ptr<const ShardMap> keys{};
};

struct Plan::Tables {
  std::shared_ptr<const PlannedShards> shards;
  Schedule schedule;
  Circle circle;
  Reach reach{};
  // Where ranks read in place, the most of any of them.
  Index largest_key_rows = 0;
  Index largest_received_rows = 0;

  [[nodiscard]] Needs needs() const { return {shards->problem, *shards->queries}; }
  /// Borrows these tables.
  [[nodiscard]] Journey journey(Needs& needs) const { return {circle, needs, reach}; }
};

/// A plan with these shards and what follows from the schedule.
[[nodiscard]] Plan scheduled(std::shared_ptr<const PlannedShards> shards, Schedule schedule,
                             const Topology& topology);

}  // namespace annulus
