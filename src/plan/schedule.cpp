#include "annulus/plan/schedule.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"
#include "base/range.hpp"
#include "plan/schedules/divisors.hpp"
#include "plan/schedules/schedules.hpp"

namespace annulus {
namespace {

struct Entry {
  Movement movement;
  std::string_view name;
  std::string_view sizes;  ///< their names, by x; none of them, or all, are given
  std::string_view what;
  schedules::MakeSchedule make;
  schedules::MakeSchedule make_for_teams;  ///< null: of single ranks alone
  schedules::FitSchedule fit;              ///< null: fits as it is
};

// A new schedule is one file and one line here (and its name in the enum).
constexpr std::array<Entry, 5> entries{{
    {Movement::ring, "ring", "", "from rank to rank", schedules::ring, schedules::double_ring,
     nullptr},
    {Movement::node_ring, "node-ring", "", "ranks of a node read keys in place", schedules::ring,
     nullptr, nullptr},
    {Movement::bidirectional, "bidirectional", "", "half of every shard each way",
     schedules::bidirectional, schedules::bidirectional, nullptr},
    {Movement::double_ring, "double-ring", "M", "from node to node, and round the M ranks of each",
     schedules::double_ring, schedules::double_ring, schedules::fit_double_ring},
    {Movement::tiles, "tiles", "AxB", "queries of A ranks meet keys of B", schedules::tiles,
     schedules::tiles, schedules::fit_tiles},
}};

const Entry& entry_of(Movement movement) {
  for (const auto& entry : entries) {
    if (entry.movement == movement) return entry;
  }
  broken_invariant("unknown schedule");
}

/// "double-ring[:M]"
std::string form_of(const Entry& entry) {
  return entry.sizes.empty() ? std::string(entry.name)
                             : fmt::format("{}[:{}]", entry.name, entry.sizes);
}

std::string forms_text() {
  std::vector<std::string> forms{"auto"};
  for (const auto& entry : entries) forms.push_back(form_of(entry));
  return fmt::format("{}, heads:U or heads:U+ one of these", fmt::join(forms, ", "));
}

/// Cuts `text` at the first `mark`; the second part is absent where there is none.
std::pair<std::string_view, std::optional<std::string_view>> cut(std::string_view text, char mark) {
  const auto at = text.find(mark);
  if (at == std::string_view::npos) return {text, std::nullopt};
  return {text.substr(0, at), text.substr(at + 1)};
}

/// Numbers by x, as many as `form` has names.
std::optional<std::vector<int>> read_sizes(std::string_view text, std::string_view form) {
  const WholeRange<int> range{1, 1 << 20};
  std::vector<int> sizes;
  for (std::optional<std::string_view> rest = text; rest;) {
    const auto [part, more] = cut(*rest, 'x');
    const auto size = parse_number<int>(part);
    if (!size || !range.contains(*size)) return std::nullopt;
    sizes.push_back(*size);
    rest = more;
  }
  const auto names = form.empty() ? 0 : std::ranges::count(form, 'x') + 1;
  return std::ssize(sizes) == names ? std::optional(sizes) : std::nullopt;
}

/// Whether teams move as in a ring although it is another schedule.
bool moves_as_ring(const Schedule& schedule, int teams) {
  const bool is_one_ring = schedule.inner == 1 || schedule.inner == teams;
  return (schedule.movement == Movement::double_ring && is_one_ring) || schedule.query_teams == 1 ||
         (schedule.movement == Movement::bidirectional && schedule.heads > 1 && teams <= 2);
}

/// The sizes of a schedule that have names.
std::vector<int> sizes_of(const Schedule& schedule) {
  if (schedule.inner > 0) return {schedule.inner};
  if (schedule.query_teams > 0) return {schedule.query_teams, schedule.key_teams};
  return {};
}

}  // namespace

std::string schedules_text() {
  std::vector<std::string> all;
  for (const auto& entry : entries) {
    all.push_back(fmt::format("{} ({})", form_of(entry), entry.what));
  }
  return fmt::format(
      "{}; heads:U (U ranks share out the heads of their rows, and rings go from team to team), "
      "heads:U+ one of the others",
      fmt::join(all, ", "));
}

std::string name_of(const Schedule& schedule) {
  std::string text(entry_of(schedule.movement).name);
  if (const auto sizes = sizes_of(schedule); !sizes.empty()) {
    text += fmt::format(":{}", fmt::join(sizes, "x"));
  }
  if (schedule.heads == 1) return text;
  const auto team = fmt::format("heads:{}", schedule.heads);
  return schedule.movement == Movement::ring ? team : team + "+" + text;
}

Schedule parse_schedule(std::string_view name) {
  const auto refuse = [&]() -> InputError {
    return InputError(fmt::format("unknown schedule '{}'; expected {}", name, forms_text()));
  };
  Schedule schedule;
  auto movement = name;
  if (const auto [heads, size] = cut(name, ':'); heads == "heads" && size) {
    const auto [team, inner] = cut(*size, '+');
    const auto sizes = read_sizes(team, "U");
    if (!sizes) throw refuse();
    schedule.heads = sizes->front();
    movement = inner.value_or("ring");
  }
  const auto [word, size_text] = cut(movement, ':');
  const auto entry = std::ranges::find(entries, word, &Entry::name);
  if (entry == entries.end()) throw refuse();
  schedule.movement = entry->movement;
  if (!size_text) return schedule;
  const auto sizes = read_sizes(*size_text, entry->sizes);
  if (!sizes) throw refuse();
  if (sizes->size() == 1) {
    schedule.inner = sizes->front();
  } else {
    schedule.query_teams = sizes->front();
    schedule.key_teams = sizes->back();
  }
  return schedule;
}

std::unique_ptr<RankSchedule> schedules::schedule_of(const Plan::Tables& tables, int rank) {
  const auto& entry = entry_of(tables.schedule.movement);
  return (tables.schedule.heads > 1 ? entry.make_for_teams : entry.make)(tables, rank);
}

Schedule schedules::fitted(Schedule schedule, const PlannedShards& shards,
                           const Topology& topology) {
  const auto& entry = entry_of(schedule.movement);
  if (schedule.heads > 1 && entry.make_for_teams == nullptr) {
    std::vector<std::string_view> fitting;
    for (const auto& other : entries) {
      if (other.make_for_teams != nullptr) fitting.push_back(other.name);
    }
    throw InputError(fmt::format("schedule {}: teams do not move by {}; expected {}",
                                 name_of(schedule), entry.name, choices(fitting)));
  }
  auto teams = divisors(shards.ranks);
  std::erase_if(teams, [&](int team) { return team > shards.problem.query_heads; });
  if (std::ranges::find(teams, schedule.heads) == teams.end()) {
    throw InputError(fmt::format(
        "schedule {}: teams of {} out of {} ranks for {} heads; expected {}", name_of(schedule),
        schedule.heads, shards.ranks, shards.problem.query_heads, choices_of(teams)));
  }
  return entry.fit == nullptr ? schedule : entry.fit(schedule, shards, topology);
}

std::vector<Schedule> schedules::candidates(const PlannedShards& shards, const Topology& topology,
                                            PeerMemory memory, bool merges_states) {
  const bool in_place = fitting_schedule(topology, memory) == Schedule::node_ring;
  std::vector<Schedule> all;
  for (const int heads : divisors(topology.ranks)) {
    for (const auto& entry : entries) {
      Schedule schedule{.movement = entry.movement, .heads = heads};
      if (schedule.queries_travel() && !merges_states) continue;
      if (schedule.movement == Movement::node_ring && !in_place) continue;
      try {
        schedule = fitted(schedule, shards, topology);
      } catch (const InputError&) {
        continue;
      }
      if (!moves_as_ring(schedule, topology.ranks / heads)) all.push_back(schedule);
    }
  }
  return all;
}

Schedule fitting_schedule(const Topology& topology, PeerMemory memory) {
  if (memory == PeerMemory::separate) return Schedule::ring;
  const auto node = node_sizes(topology);
  return node.even() && node.most > 1 ? Schedule::node_ring : Schedule::ring;
}

}  // namespace annulus
