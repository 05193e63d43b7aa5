#include "annulus/plan/schedule.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"
#include "plan/schedules/schedules.hpp"

namespace annulus {
namespace {

struct Entry {
  Schedule schedule;
  std::string_view name;
  std::string_view what;
  schedules::MakeSchedule make;
};

// A new schedule is one file and one line here (and its name in the enum).
constexpr std::array<Entry, 3> entries{{
    {Schedule::ring, "ring", "from rank to rank", schedules::ring},
    {Schedule::node_ring, "node-ring", "ranks of a node read keys in place", schedules::ring},
    {Schedule::bidirectional, "bidirectional", "half of every shard each way",
     schedules::bidirectional},
}};

const Entry& entry_of(Schedule schedule) {
  for (const auto& entry : entries) {
    if (entry.schedule == schedule) return entry;
  }
  broken_invariant("unknown schedule");
}

}  // namespace

std::string schedules_text() {
  std::vector<std::string> all;
  for (const auto& entry : entries) all.push_back(fmt::format("{} ({})", entry.name, entry.what));
  return fmt::format("{}", fmt::join(all, ", "));
}

std::string_view name_of(Schedule schedule) {
  return entry_of(schedule).name;
}

Schedule parse_schedule(std::string_view name) {
  std::vector<std::string_view> names{"auto"};
  for (const auto& entry : entries) {
    if (name == entry.name) return entry.schedule;
    names.push_back(entry.name);
  }
  throw InputError(fmt::format("unknown schedule '{}'; expected {}", name, fmt::join(names, ", ")));
}

std::unique_ptr<RankSchedule> schedules::schedule_of(const Plan::Tables& tables, int rank) {
  return entry_of(tables.schedule).make(tables, rank);
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
