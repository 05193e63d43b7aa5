#include "plan/tables.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "plan/ring_programs.hpp"

namespace annulus {
namespace {

/// The ranks that read each other's memory under `schedule`.
std::vector<std::vector<int>> nodes_for(Schedule schedule, const Topology& topology) {
  if (schedule == Schedule::ring) return ranks_of_nodes({.ranks = topology.ranks});
  auto nodes = ranks_of_nodes(topology);
  for (const auto& ranks : nodes) {
    if (ranks.size() == nodes.front().size()) continue;
    throw InputError(
        fmt::format("schedule node-ring: a node has {} ranks and another one {}; expected as many "
                    "on every node, or schedule ring",
                    nodes.front().size(), ranks.size()));
  }
  return nodes;
}

Index arrivals(const Program& program) {
  return std::ranges::count_if(program, [](const Step& step) { return step.hop.from >= 0; });
}

}  // namespace

Plan scheduled(Plan::Tables tables, Schedule schedule, const Topology& topology) {
  tables.schedule = schedule;
  tables.nodes = nodes_for(schedule, topology);
  tables.node_of.resize(static_cast<std::size_t>(tables.ranks));
  for (std::size_t node = 0; node < tables.nodes.size(); ++node) {
    for (const int rank : tables.nodes[node]) tables.node_of[static_cast<std::size_t>(rank)] = node;
  }
  tables.programs = ring_programs(tables);
  tables.most_arrivals = arrivals(*std::ranges::max_element(tables.programs, {}, arrivals));
  return Plan(std::make_shared<const Plan::Tables>(std::move(tables)));
}

}  // namespace annulus
