#include "annulus/plan/schedule.hpp"

#include <algorithm>
#include <array>
#include <string>

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus {
namespace {

constexpr std::array schedules{Schedule::ring, Schedule::node_ring};

}  // namespace

std::string_view name_of(Schedule schedule) {
  switch (schedule) {
    case Schedule::ring:
      return "ring";
    case Schedule::node_ring:
      return "node-ring";
  }
  broken_invariant("unknown schedule");
}

Schedule parse_schedule(std::string_view name) {
  for (const auto schedule : schedules) {
    if (name == name_of(schedule)) return schedule;
  }
  throw InputError(fmt::format("unknown schedule '{}'; expected auto, ring or node-ring", name));
}

Schedule fitting_schedule(const Topology& topology, PeerMemory memory) {
  if (memory == PeerMemory::separate) return Schedule::ring;
  const auto nodes = ranks_of_nodes(topology);
  const auto per_node = nodes.empty() ? 0 : nodes.front().size();
  const bool even =
      std::ranges::all_of(nodes, [&](const auto& ranks) { return ranks.size() == per_node; });
  return even && per_node > 1 ? Schedule::node_ring : Schedule::ring;
}

}  // namespace annulus
