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
                        .heads = {0, tables.shards->problem.query_heads}}),
      known_(std::size_t{2} * 4 * static_cast<std::size_t>(circle_.columns()),
             {.journey = tables_.journey(needs_)}) {}

Step Chains::step(int at) {
  Step step;
  const auto over = at > 0 ? stations(at - 1) : Stations{};
  step.releases.reserve(over.size());
  for (const auto& before : over) {
    const auto& held = held_at(before);
    if (!held.rows.empty()) step.releases.push_back(held);
  }
  const auto now = stations(at);
  step.computes.reserve(now.size() * static_cast<std::size_t>(circle_.columns()));
  for (const auto& station : now) add_computes(step, station);
  if (at + 1 == step_count()) return step;
  const auto due = static_cast<std::size_t>(at) + 1;
  const auto then = stations(at + 1);
  step.sends.reserve(then.size());
  step.receives.reserve(then.size());
  for (const auto& next : then) {
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

std::vector<Item> Chains::kept(const std::vector<Step>& steps) const {
  std::vector<Item> kept;
  for (std::size_t at = 1; at < steps.size(); ++at) {
    for (const auto& arrived : steps[at - 1].receives) {
      const bool goes_on_and_returns = std::ranges::any_of(
          steps[at].sends,
          [&](const Transfer& send) { return send.returns && send.item == arrived.item; });
      if (!goes_on_and_returns) kept.push_back(arrived.item);
    }
  }
  return kept;
}

/// The rank that is so many hops further this way.
int Chains::hop(int rank, Way way, int hops) const {
  return circle_.behind(rank, way == Way::forward ? -hops : hops);
}

/// Few owners are asked for at a time: those of the nodes that are, or were, next to each other in
/// the chain.
Chains::Known& Chains::known(int owner, Way way) {
  const int columns = circle_.columns();
  const int place =
      circle_.place_of(owner) % (4 * columns) + (way == Way::forward ? 0 : 4 * columns);
  auto& known = known_[static_cast<std::size_t>(place)];
  if (known.owner != owner) {
    known.owner = owner;
    known.journey.begin(owner, tables_.shards->keys->of(owner));
    for (auto& [hop, item] : known.items) hop = 0;
  }
  return known;
}

/// Keys of `owner` as they make hop number `hops`, until the next call.
const Item& Chains::item(int owner, Way way, int hops) {
  auto& known = this->known(owner, way);
  auto& [hop, item] = known.items[static_cast<std::size_t>(hops) % known.items.size()];
  if (hop != hops) {
    hop = hops;
    item = {.owner = owner,
            .rows = known.journey.rows(way, hops),
            .heads = {0, tables_.shards->problem.key_heads}};
  }
  return item;
}

/// What has arrived; without rows where nothing has.
const Item& Chains::held_at(const Station& station) {
  static const Item nothing;
  const auto [way, distance] = station;
  if (distance == 0) return nothing;
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
  const auto& problem = tables_.shards->problem;
  for (const int holder : circle_.peers_in_turn(rank_)) {
    const int owner = hop(holder, at.way, -at.distance);
    const auto& journey = known(owner, at.way).journey;
    const auto& shard = journey.keys();
    const Rows all({0, journey.key_rows()});
    const auto rows = at.distance == 0 ? all : item(owner, at.way, at.distance).rows;
    if (!sees_some(problem, queries_, rows == all ? shard : select(shard, rows))) continue;
    step.computes.push_back(
        {.queries = own_queries_,
         .keys = Item{.owner = owner, .rows = rows, .heads = {0, problem.key_heads}},
         .holder = holder});
  }
}

}  // namespace annulus::schedules
