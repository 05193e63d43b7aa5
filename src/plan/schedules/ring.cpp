#include <algorithm>
#include <deque>
#include <iterator>
#include <utility>

#include "annulus/plan/block.hpp"
#include "plan/schedules/schedules.hpp"

namespace annulus::schedules {
namespace {

/// Where the keys that a node holds in a step come from.
struct Station {
  Way way = Way::forward;
  int distance = 0;  ///< in nodes; 0: its own
};

class Ring final : public RankSchedule {
 public:
  Ring(const Plan::Tables& tables, int rank)
      : tables_(tables),
        circle_(tables.circle),
        needs_(tables.needs()),
        rank_(rank),
        queries_(tables.shards->queries->of(rank)) {}

  [[nodiscard]] int step_count() const override {
    return 1 + tables_.reach.forward + tables_.reach.backward;
  }

  [[nodiscard]] Step step(int at) override {
    Step step;
    if (at > 0) {
      const auto before = held_at(at - 1);
      if (!before.rows.empty()) step.releases.push_back(before);
    }
    add_computes(step, station(at));
    if (at + 1 == step_count()) return step;
    const auto next = station(at + 1);
    const auto due = static_cast<std::size_t>(at) + 1;
    const auto leaving = item(hop(rank_, next.way, 1 - next.distance), next.way, next.distance);
    if (!leaving.rows.empty()) {
      step.sends.push_back({.item = leaving,
                            .peer = hop(rank_, next.way, 1),
                            .due = due,
                            .returns = comes_back(rank_, next)});
    }
    const auto arriving = held_at(at + 1);
    if (!arriving.rows.empty()) {
      const int from = hop(rank_, next.way, -1);
      step.receives.push_back(
          {.item = arriving, .peer = from, .due = due, .returns = comes_back(from, next)});
    }
    return step;
  }

  [[nodiscard]] std::vector<Item> kept() override {
    std::vector<Item> kept;
    for (int at = 1; at < step_count(); ++at) {
      auto held = held_at(at);
      if (held.rows.empty()) continue;
      const bool goes_on = at + 1 < step_count() && station(at + 1).distance > 1;
      if (!goes_on || !comes_back(rank_, station(at + 1))) kept.push_back(held);
    }
    return kept;
  }

 private:
  [[nodiscard]] Station station(int step) const {
    if (step <= tables_.reach.forward) return {Way::forward, step};
    return {Way::backward, step - tables_.reach.forward};
  }

  /// The rank that is so many hops further this way.
  [[nodiscard]] int hop(int rank, Way way, int hops) const {
    return circle_.behind(rank, way == Way::forward ? -hops : hops);
  }

  /// Keys of `owner` as they make hop number `hops`. Few owners are asked for at a time.
  [[nodiscard]] Item item(int owner, Way way, int hops) {
    auto found = std::ranges::find(journeys_, owner, [](const auto& known) { return known.first; });
    if (found == journeys_.end()) {
      const std::size_t many = 3 + 2 * static_cast<std::size_t>(circle_.columns());
      if (journeys_.size() == many) journeys_.pop_front();
      journeys_.emplace_back(owner, tables_.journey(needs_, owner));
      found = std::prev(journeys_.end());
    }
    return {.owner = owner, .rows = found->second.rows(way, hops)};
  }

  /// What has arrived for a step; without rows where nothing has.
  [[nodiscard]] Item held_at(int step) {
    const auto [way, distance] = station(step);
    if (distance == 0) return {};
    return item(hop(rank_, way, -distance), way, distance);
  }

  /// Whether a backward pass brings back what `sender` sends on to a station: it is not its own,
  /// all that it holds, and another shard takes its place.
  [[nodiscard]] bool comes_back(int sender, const Station& to) {
    const auto& [way, distance] = to;
    if (distance < 2) return false;
    const int owner = hop(sender, way, 1 - distance);
    const auto sent = item(owner, way, distance);
    return !sent.rows.empty() && sent == item(owner, way, distance - 1) &&
           !item(hop(sender, way, -distance), way, distance).rows.empty();
  }

  void add_computes(Step& step, const Station& at) {
    for (const int holder : circle_.peers_in_turn(rank_)) {
      const int owner = hop(holder, at.way, -at.distance);
      const auto shard = tables_.shards->keys->of(owner);
      const auto rows =
          at.distance == 0 ? Rows({0, row_count(shard)}) : item(owner, at.way, at.distance).rows;
      if (!sees_some(tables_.shards->problem, queries_, select(shard, rows))) continue;
      step.computes.push_back({.keys = {.owner = owner, .rows = rows}, .holder = holder});
    }
  }

  const Plan::Tables& tables_;
  const Circle& circle_;
  Needs needs_;
  int rank_;
  Shard queries_;
  std::deque<std::pair<int, Journey>> journeys_;
};

}  // namespace

std::unique_ptr<RankSchedule> ring(const Plan::Tables& tables, int rank) {
  return std::make_unique<Ring>(tables, rank);
}

}  // namespace annulus::schedules
