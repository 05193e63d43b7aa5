// From node to node and, in each step of that, round the ranks of a node: what crosses to another
// node crosses once, and is under way while a whole round of the node is computed with. With nodes
// of one team, this is a ring of teams.

#include <algorithm>
#include <string>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "plan/schedules/divisors.hpp"
#include "plan/schedules/fetches.hpp"
#include "plan/schedules/nodes_in_turn.hpp"

namespace annulus::schedules {
namespace {

/// Visit o M + i: what the team i places behind on the node has, of the o-th node in turn; i = 0 is
/// what it fetches itself.
class DoubleRing final : public Arrangement {
 public:
  explicit DoubleRing(const Plan::Tables& tables)
      : nodes_(tables.circle, tables.reach),
        inner_(tables.circle.columns() / tables.schedule.heads),
        teams_(tables.circle.ranks() / tables.schedule.heads) {}

  [[nodiscard]] int key_visits() const override { return nodes_.count() * inner_; }

  [[nodiscard]] KeyVisit key_visit(int team, int visit) const override {
    const int round = visit / inner_;
    const int behind = visit % inner_;
    const int node = team / inner_;
    const int from = team_at(node, team % inner_ - behind);
    const Interval own{team, team + 1};
    const Index first_of_node = Index{node} * inner_;
    const Interval all{first_of_node, first_of_node + inner_};
    const int owner = team_at(nodes_.source(node, round), from % inner_);
    if (behind > 0) {
      return {.owner = owner, .from = from, .readers = own, .held_for = round == 0 ? own : all};
    }
    return {.owner = owner, .from = owner, .readers = all, .held_for = all};
  }

  [[nodiscard]] int starts(int visit) const override {
    return visit % inner_ > 0 ? visit - 1 : std::max(visit - inner_, 0);
  }
  [[nodiscard]] int last(int visit) const override {
    return visit % inner_ > 0 ? visit : visit + inner_ - 1;
  }

  [[nodiscard]] int key_guest(int team, int visit) const override {
    const int round = visit / inner_;
    const int ahead = visit % inner_;
    const int node = team / inner_;
    if (ahead > 0) return team_at(node, team % inner_ + ahead);
    return team_at(nodes_.guest(node, round), team % inner_);
  }

  [[nodiscard]] int farthest() const override { return inner_; }
  [[nodiscard]] Interval key_owners(int /*team*/) const override { return {0, teams_}; }

 private:
  [[nodiscard]] int team_at(int node, int place) const {
    return node * inner_ + (place + inner_) % inner_;
  }

  NodesInTurn nodes_;
  int inner_;
  int teams_;
};

}  // namespace

Schedule fit_double_ring(Schedule schedule, const PlannedShards& shards, const Topology& topology) {
  const int teams = shards.ranks / schedule.heads;
  if (schedule.inner == 0) {
    const auto node = node_sizes(topology);
    if (!node.even() || node.most % schedule.heads != 0) {
      throw InputError(
          fmt::format("schedule {}: nodes do not all have as many whole teams; expected as many, "
                      "or double-ring:M",
                      name_of(schedule)));
    }
    schedule.inner = node.most / schedule.heads;
  }
  if (teams % schedule.inner != 0) {
    throw InputError(fmt::format("schedule {}: inner rings of {} out of {} {}; expected {}",
                                 name_of(schedule), schedule.inner, teams,
                                 schedule.heads > 1 ? "teams" : "ranks",
                                 choices_of(divisors(teams))));
  }
  return schedule;
}

std::unique_ptr<RankSchedule> double_ring(const Plan::Tables& tables, int rank) {
  return std::make_unique<Fetches>(tables, rank, std::make_unique<DoubleRing>(tables));
}

}  // namespace annulus::schedules
