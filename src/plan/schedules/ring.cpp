// From rank to rank or, where ranks of a node read each other's memory, from node to node: forward
// as far as anyone needs keys and, where only near neighbours on both sides do, in a second chain
// backward.
#include "plan/schedules/chains.hpp"

namespace annulus::schedules {
namespace {

class Ring final : public Chains {
 public:
  using Chains::Chains;

  [[nodiscard]] int step_count() const override {
    return 1 + tables().reach.forward + tables().reach.backward;
  }

 private:
  [[nodiscard]] Stations stations(int step) const override {
    const int forward = tables().reach.forward;
    if (step <= forward) return Station{Way::forward, step};
    return Station{Way::backward, step - forward};
  }
};

}  // namespace

std::unique_ptr<RankSchedule> ring(const Plan::Tables& tables, int rank) {
  return std::make_unique<Ring>(tables, rank);
}

}  // namespace annulus::schedules
