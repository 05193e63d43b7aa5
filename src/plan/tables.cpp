#include "plan/tables.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "plan/intervals.hpp"
#include "plan/schedules/schedules.hpp"

namespace annulus {
namespace {

/// The nodes between which keys go under `schedule`, which has all its sizes.
Circle circle_for(const Schedule& schedule, const Topology& topology) {
  const auto size = static_cast<std::size_t>(schedule.heads * std::max(schedule.inner, 1));
  const bool in_place = schedule.movement == Movement::node_ring;
  if (!in_place && size == 1) return Circle(topology.ranks);
  auto nodes = ranks_of_nodes(topology);
  if (!in_place) {
    // Ranks of one node stay together.
    std::vector<std::vector<int>> groups;
    for (const auto& ranks : nodes) {
      for (const int rank : ranks) {
        if (groups.empty() || groups.back().size() == size) groups.emplace_back();
        groups.back().push_back(rank);
      }
    }
    return Circle(std::move(groups));
  }
  if (const auto node = node_sizes(topology); !node.even()) {
    throw InputError(
        fmt::format("schedule node-ring: a node has {} ranks and another one {}; expected as many "
                    "on every node, or schedule ring",
                    node.most, node.fewest));
  }
  return Circle(std::move(nodes));
}

/// How far keys of any owner go.
Reach reach_of_all(const Plan::Tables& tables) {
  const auto& circle = tables.circle;
  auto needs = tables.needs();
  const std::vector<Interval> all{{0, circle.nodes()}};
  std::vector<Interval> needed{{0, 1}};
  for (int owner = 0; owner < circle.ranks() && needed != all; ++owner) {
    const auto keys = tables.shards->keys->of(owner);
    const auto viewers = needs.viewers(keys, {0, row_count(keys)});
    const auto more = needed_distances(circle, owner, viewers);
    needed.insert(needed.end(), more.begin(), more.end());
    unite(needed);
  }
  return tables.schedule.movement == Movement::bidirectional
             ? reach_both_ways(needed, circle.nodes())
             : reach_of(std::move(needed), circle.nodes());
}

void measure_shards(Plan::Tables& tables) {
  auto needs = tables.needs();
  auto journey = tables.journey(needs);
  for (int owner = 0; owner < tables.shards->ranks; ++owner) {
    journey.begin(owner, tables.shards->keys->of(owner));
    tables.largest_key_rows = std::max(tables.largest_key_rows, journey.key_rows());
    for (const Way way : {Way::forward, Way::backward}) {
      tables.largest_received_rows =
          std::max(tables.largest_received_rows, journey.rows(way, 1).count());
    }
  }
}

}  // namespace

Plan scheduled(std::shared_ptr<const PlannedShards> shards, Schedule schedule,
               const Topology& topology) {
  schedule = schedules::fitted(schedule, *shards, topology);
  auto circle = circle_for(schedule, topology);
  Plan::Tables tables{
      .shards = std::move(shards), .schedule = schedule, .circle = std::move(circle)};
  tables.reach = reach_of_all(tables);
  if (schedule.movement == Movement::node_ring) measure_shards(tables);
  return Plan(std::make_shared<const Plan::Tables>(std::move(tables)));
}

}  // namespace annulus
