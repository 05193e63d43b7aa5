// Both ways at once, on links that carry both: one half of every shard goes forward and the other
// backward all the way round; where only near neighbours see a shard, all of it goes both ways.
#include <algorithm>

#include "plan/schedules/chains.hpp"

namespace annulus::schedules {
namespace {

class Bidirectional final : public Chains {
 public:
  using Chains::Chains;

  [[nodiscard]] int step_count() const override {
    return 1 + std::max(tables().reach.forward, tables().reach.backward);
  }

 private:
  [[nodiscard]] std::vector<Station> stations(int step) const override {
    if (step == 0) return {{}};
    std::vector<Station> both;
    for (const Way way : {Way::forward, Way::backward}) {
      if (step <= tables().reach[way]) both.push_back({way, step});
    }
    return both;
  }

  [[nodiscard]] Rows part(Way way, Index rows) const override {
    if (!tables().reach.halves) return Chains::part(way, rows);
    const Index half = ceil_div(rows, 2);
    return Rows(way == Way::forward ? Interval{0, half} : Interval{half, rows});
  }
};

}  // namespace

std::unique_ptr<RankSchedule> bidirectional(const Plan::Tables& tables, int rank) {
  return std::make_unique<Bidirectional>(tables, rank);
}

}  // namespace annulus::schedules
