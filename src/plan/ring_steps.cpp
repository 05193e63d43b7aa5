#include "plan/schedule.hpp"

#include <algorithm>

namespace annulus {
namespace {

/// needs[distance][rank]: whether `rank` computes with the keys of the rank `distance` behind it.
using Needs = std::vector<std::vector<bool>>;

int owner_at(int rank, int distance, int ranks) {
  return ((rank - distance) % ranks + ranks) % ranks;
}

Needs needs_of(const Plan& plan) {
  const auto ranks = static_cast<std::size_t>(plan.ranks);
  Needs needs(ranks, std::vector<bool>(ranks));
  for (int distance = 0; distance < plan.ranks; ++distance) {
    for (int rank = 0; rank < plan.ranks; ++rank) {
      needs[static_cast<std::size_t>(distance)][static_cast<std::size_t>(rank)] = sees_some(
          plan.problem, plan.query_shards[static_cast<std::size_t>(rank)],
          plan.key_shards[static_cast<std::size_t>(owner_at(rank, distance, plan.ranks))]);
    }
  }
  return needs;
}

/// How many hops keys travel forward and backward.
struct Reach {
  int forward = 0;
  int backward = 0;
};

/// Cuts the circle of distances at its longest stretch that nobody needs.
Reach reach_of(const Needs& needs) {
  const int ranks = static_cast<int>(needs.size());
  std::vector<int> needed{0};
  for (int distance = 1; distance < ranks; ++distance) {
    const auto& row = needs[static_cast<std::size_t>(distance)];
    if (std::find(row.begin(), row.end(), true) != row.end()) needed.push_back(distance);
  }
  needed.push_back(ranks);
  // Ties go to the last gap, which is the one that keeps the ring going one way.
  std::size_t gap = 1;
  for (std::size_t i = 1; i < needed.size(); ++i) {
    if (needed[i] - needed[i - 1] >= needed[gap] - needed[gap - 1]) gap = i;
  }
  return {.forward = needed[gap - 1], .backward = ranks - needed[gap]};
}

/// Appends the steps of a chain of `hops` hops in `direction` (+1 forward, -1 backward), which
/// starts from each rank's own shard.
void append_chain(std::vector<Step>& steps, const Needs& needs, int hops, int direction) {
  const int ranks = static_cast<int>(needs.size());
  const auto needed = [&](int rank, int distance) {
    const int turn = (distance % ranks + ranks) % ranks;
    return needs[static_cast<std::size_t>(turn)][static_cast<std::size_t>(rank)];
  };
  // Whether the shard of `owner` is needed `hop` or more hops away from it.
  const auto travels = [&](int owner, int hop) {
    for (int distance = hop; distance <= hops; ++distance) {
      const int rank = owner_at(owner, -direction * distance, ranks);
      if (needed(rank, direction * distance)) return true;
    }
    return false;
  };
  for (int hop = 1; hop <= hops; ++hop) {
    // The hop is started in the step before the one that computes with what it brings.
    auto& step = steps.back();
    Step next{std::vector<RankStep>(needs.size())};
    for (int rank = 0; rank < ranks; ++rank) {
      auto& mine = step.ranks[static_cast<std::size_t>(rank)].hop;
      const int held = owner_at(rank, direction * (hop - 1), ranks);
      if (travels(held, hop)) {
        mine.send_owner = held;
        mine.to = owner_at(rank, -direction, ranks);
      }
      const int coming = owner_at(rank, direction * hop, ranks);
      if (travels(coming, hop)) {
        mine.receive_owner = coming;
        mine.from = owner_at(rank, direction, ranks);
      }
      if (needed(rank, direction * hop)) {
        next.ranks[static_cast<std::size_t>(rank)].compute_owner = coming;
      }
    }
    steps.push_back(std::move(next));
  }
}

}  // namespace

std::vector<Step> ring_steps(const Plan& plan) {
  const auto needs = needs_of(plan);
  const auto reach = reach_of(needs);
  std::vector<Step> steps{Step{std::vector<RankStep>(needs.size())}};
  for (int rank = 0; rank < plan.ranks; ++rank) {
    if (needs[0][static_cast<std::size_t>(rank)]) {
      steps.back().ranks[static_cast<std::size_t>(rank)].compute_owner = rank;
    }
  }
  append_chain(steps, needs, reach.forward, +1);
  append_chain(steps, needs, reach.backward, -1);
  return steps;
}

}  // namespace annulus
