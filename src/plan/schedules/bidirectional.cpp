// Both ways at once, on links that carry both: one half of every shard goes forward and the other
// backward all the way round; where only near neighbours see a shard, all of it goes both ways.
#include <algorithm>
#include <optional>

#include "plan/schedules/chains.hpp"
#include "plan/schedules/fetches.hpp"

namespace annulus::schedules {
namespace {

class Bidirectional final : public Chains {
 public:
  using Chains::Chains;

  [[nodiscard]] int step_count() const override {
    return 1 + std::max(tables().reach.forward, tables().reach.backward);
  }

 private:
  [[nodiscard]] Stations stations(int step) const override {
    if (step == 0) return Station{};
    Stations both;
    for (const Way way : {Way::forward, Way::backward}) {
      if (step <= tables().reach[way]) both.add({way, step});
    }
    return both;
  }
};

/// Of teams: after its own keys each has some of a team behind it and some of one as far ahead, in
/// turn, which set out at the same time.
class TeamsBothWays final : public Arrangement {
 public:
  explicit TeamsBothWays(const Plan::Tables& tables)
      : teams_(tables.circle.nodes()), reach_(tables.reach) {}

  [[nodiscard]] int key_visits() const override { return 1 + reach_.forward + reach_.backward; }

  [[nodiscard]] KeyVisit key_visit(int team, int visit) const override {
    const auto [way, distance] = station(visit);
    const int owner = team_at(team, way == Way::forward ? -distance : distance);
    const Interval own{team, team + 1};
    return {.owner = owner,
            .from = owner,
            .readers = own,
            .held_for = own,
            .half = reach_.halves && visit > 0 ? std::optional(way) : std::nullopt};
  }

  [[nodiscard]] int key_guest(int team, int visit) const override {
    const auto [way, distance] = station(visit);
    return team_at(team, way == Way::forward ? distance : -distance);
  }

  /// Both of a distance set out with the first of those before.
  [[nodiscard]] int starts(int visit) const override {
    const bool alone = visit > 2 * both();
    return std::max(alone ? visit - 1 : (visit - 1) / 2 * 2 - 1, 0);
  }
  [[nodiscard]] int farthest() const override { return 3; }
  [[nodiscard]] Interval key_owners(int /*team*/) const override { return {0, teams_}; }

 private:
  /// Visits 2 d - 1 and 2 d are of distance d, as long as there are both.
  [[nodiscard]] int both() const { return std::min(reach_.forward, reach_.backward); }
  [[nodiscard]] Station station(int visit) const {
    if (visit > 2 * both()) {
      return {reach_.forward > both() ? Way::forward : Way::backward, visit - both()};
    }
    return {visit % 2 == 1 ? Way::forward : Way::backward, (visit + 1) / 2};
  }
  [[nodiscard]] int team_at(int team, int ahead) const {
    return ((team + ahead) % teams_ + teams_) % teams_;
  }

  int teams_;
  Reach reach_;
};

}  // namespace

std::unique_ptr<RankSchedule> bidirectional(const Plan::Tables& tables, int rank) {
  if (tables.schedule.heads == 1) return std::make_unique<Bidirectional>(tables, rank);
  return std::make_unique<Fetches>(tables, rank, std::make_unique<TeamsBothWays>(tables));
}

}  // namespace annulus::schedules
