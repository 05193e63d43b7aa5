#include "plan/schedules/chains.hpp"

#include <algorithm>
#include <iterator>

namespace annulus::schedules {

Chains::Chains(const Plan::Tables& tables, int rank)
    : tables_(tables),
      circle_(tables.circle),
      needs_(tables.needs()),
      rank_(rank),
      queries_(tables.shards->queries->of(rank)),
      own_queries_(Item{.what = What::queries,
                        .owner = rank,
                        .rows = Rows({0, row_count(queries_)}),
                        .heads = {0, tables.shards->problem.query_heads}}) {}

Step Chains::step(int at) {
  Step step;
  for (const auto& before : at > 0 ? stations(at - 1) : std::vector<Station>{}) {
    const auto held = held_at(before);
    if (!held.rows.empty()) step.releases.push_back(held);
  }
  for (const auto& now : stations(at)) add_computes(step, now);
  if (at + 1 == step_count()) return step;
  const auto due = static_cast<std::size_t>(at) + 1;
  for (const auto& next : stations(at + 1)) {
    const auto leaving = item(hop(rank_, next.way, 1 - next.distance), next.way, next.distance);
    if (!leaving.rows.empty()) {
      step.sends.push_back({.item = leaving,
                            .peer = hop(rank_, next.way, 1),
                            .due = due,
                            .returns = comes_back(rank_, next)});
    }
    const auto arriving = held_at(next);
    if (!arriving.rows.empty()) {
      const int from = hop(rank_, next.way, -1);
      step.receives.push_back(
          {.item = arriving, .peer = from, .due = due, .returns = comes_back(from, next)});
    }
  }
  return step;
}

std::vector<Item> Chains::kept() {
  std::vector<Item> kept;
  for (int at = 1; at < step_count(); ++at) {
    for (const auto& station : stations(at)) {
      auto held = held_at(station);
      if (!held.rows.empty() && !goes_on_and_returns(at, station)) kept.push_back(held);
    }
  }
  return kept;
}

/// Whether what is held at a station is sent on and comes back.
bool Chains::goes_on_and_returns(int step, const Station& from) {
  if (step + 1 == step_count()) return false;
  const Station to{from.way, from.distance + 1};
  const auto next = stations(step + 1);
  return std::ranges::find(next, to) != next.end() && comes_back(rank_, to);
}

/// The rank that is so many hops further this way.
int Chains::hop(int rank, Way way, int hops) const {
  return circle_.behind(rank, way == Way::forward ? -hops : hops);
}

/// Keys of `owner` as they make hop number `hops`. Few owners are asked for at a time.
Item Chains::item(int owner, Way way, int hops) {
  auto found = std::ranges::find(journeys_, owner, &Known::owner);
  if (found == journeys_.end()) {
    const std::size_t many = 2 * (3 + 2 * static_cast<std::size_t>(circle_.columns()));
    if (journeys_.size() == many) journeys_.pop_front();
    journeys_.push_back({.owner = owner, .journey = tables_.journey(needs_, owner)});
    found = std::prev(journeys_.end());
  }
  auto& [of, journey, items] = *found;
  const Station hop{way, hops};
  const auto known = std::ranges::find(items, hop, &std::pair<Station, Item>::first);
  if (known != items.end()) return known->second;
  const auto rows = part(way, journey.key_rows());
  const Item item{.owner = owner,
                  .rows = journey.rows(way, hops).narrowed_to(rows.intervals()),
                  .heads = {0, tables_.shards->problem.key_heads}};
  items.emplace_back(hop, item);
  return item;
}

/// What has arrived; without rows where nothing has.
Item Chains::held_at(const Station& station) {
  const auto [way, distance] = station;
  if (distance == 0) return {};
  return item(hop(rank_, way, -distance), way, distance);
}

/// Whether a backward pass brings back what `sender` sends on to a station: it is not its own, all
/// that it holds, and another shard takes its place.
bool Chains::comes_back(int sender, const Station& to) {
  const auto& [way, distance] = to;
  if (distance < 2) return false;
  const int owner = hop(sender, way, 1 - distance);
  const auto sent = item(owner, way, distance);
  return !sent.rows.empty() && sent == item(owner, way, distance - 1) &&
         !item(hop(sender, way, -distance), way, distance).rows.empty();
}

void Chains::add_computes(Step& step, const Station& at) {
  for (const int holder : circle_.peers_in_turn(rank_)) {
    const int owner = hop(holder, at.way, -at.distance);
    const auto shard = tables_.shards->keys->of(owner);
    const auto rows =
        at.distance == 0 ? Rows({0, row_count(shard)}) : item(owner, at.way, at.distance).rows;
    if (!sees_some(tables_.shards->problem, queries_, select(shard, rows))) continue;
    step.computes.push_back(
        {.queries = own_queries_,
         .keys =
             Item{.owner = owner, .rows = rows, .heads = {0, tables_.shards->problem.key_heads}},
         .holder = holder});
  }
}

}  // namespace annulus::schedules
