// Queries of A teams meet keys of B teams at each of A x B teams: each of them covers a tile of the
// whole, of fewer rows than a strip of all keys has, so that fewer bytes travel.
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/attention/partial_state.hpp"
#include "annulus/base/error.hpp"
#include "plan/schedules/divisors.hpp"
#include "plan/schedules/fetches.hpp"

namespace annulus::schedules {
namespace {

/// Team i B + j has queries of the teams x B + j for all x, and keys of the teams i B + x.
class Tiles final : public Arrangement {
 public:
  explicit Tiles(const Schedule& schedule)
      : query_teams_(schedule.query_teams), key_teams_(schedule.key_teams) {}

  [[nodiscard]] int query_visits() const override { return query_teams_; }
  [[nodiscard]] int query_owner(int team, int visit) const override {
    return query_neighbour(team, visit);
  }
  [[nodiscard]] int query_guest(int team, int visit) const override {
    return query_neighbour(team, -visit);
  }

  [[nodiscard]] int key_visits() const override { return key_teams_; }
  [[nodiscard]] KeyVisit key_visit(int team, int visit) const override {
    const int owner = key_neighbour(team, visit);
    const Interval own{team, team + 1};
    return {.owner = owner, .from = owner, .readers = own, .held_for = own};
  }
  [[nodiscard]] int key_guest(int team, int visit) const override {
    return key_neighbour(team, -visit);
  }
  [[nodiscard]] Interval key_owners(int team) const override {
    const Index first = Index{team / key_teams_} * key_teams_;
    return {first, first + key_teams_};
  }

 private:
  [[nodiscard]] int query_neighbour(int team, int further) const {
    const int row = team / key_teams_ + further;
    return (row + query_teams_) % query_teams_ * key_teams_ + team % key_teams_;
  }
  [[nodiscard]] int key_neighbour(int team, int further) const {
    const int column = team % key_teams_ + further;
    return team / key_teams_ * key_teams_ + (column + key_teams_) % key_teams_;
  }

  int query_teams_;
  int key_teams_;
};

/// Bytes that a row of a rank costs where queries go to a - 1 other teams and keys to b - 1.
double bytes_of(const PlannedShards& shards, int a, int b) {
  const auto& problem = shards.problem;
  const auto element = static_cast<Index>(size_of(shards.data_type));
  const auto sum = static_cast<Index>(size_of(accumulator_of(shards.data_type)));
  const Index query =
      problem.query_heads * (problem.head_dim * element + state_width(problem.output_dim()) * sum);
  const Index key = problem.key_heads * (problem.head_dim + problem.output_dim()) * element;
  const auto& documents = problem.documents;
  return static_cast<double>(a - 1) * static_cast<double>(query) *
             static_cast<double>(documents.queries()) +
         static_cast<double>(b - 1) * static_cast<double>(key) *
             static_cast<double>(documents.keys());
}

}  // namespace

Schedule fit_tiles(Schedule schedule, const PlannedShards& shards, const Topology& /*topology*/) {
  const int teams = shards.ranks / schedule.heads;
  if (schedule.query_teams == 0) {
    double fewest = std::numeric_limits<double>::infinity();
    for (const int a : divisors(teams)) {
      const double bytes = bytes_of(shards, a, teams / a);
      if (bytes >= fewest) continue;
      fewest = bytes;
      schedule.query_teams = a;
      schedule.key_teams = teams / a;
    }
    return schedule;
  }
  if (Index{schedule.query_teams} * schedule.key_teams == teams) return schedule;
  std::vector<std::string> fitting;
  for (const int a : divisors(teams)) fitting.push_back(fmt::format("tiles:{}x{}", a, teams / a));
  throw InputError(fmt::format("schedule {}: {} x {} tiles for {} {}; expected {}",
                               name_of(schedule), schedule.query_teams, schedule.key_teams, teams,
                               schedule.heads > 1 ? "teams" : "ranks",
                               choices({fitting.begin(), fitting.end()})));
}

std::unique_ptr<RankSchedule> tiles(const Plan::Tables& tables, int rank) {
  return std::make_unique<Fetches>(tables, rank, std::make_unique<Tiles>(tables.schedule));
}

}  // namespace annulus::schedules
