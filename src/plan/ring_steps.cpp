#include "plan/ring_steps.hpp"

#include <algorithm>
#include <utility>

namespace annulus {
namespace {

/// Nodes in a circle, each with its ranks in a row; a shard stays in its column on its way round.
class Circle {
 public:
  explicit Circle(const Plan& plan)
      : nodes_(plan.nodes), places_(static_cast<std::size_t>(plan.ranks)) {
    for (std::size_t node = 0; node < nodes_.size(); ++node) {
      for (std::size_t column = 0; column < nodes_[node].size(); ++column) {
        places_[static_cast<std::size_t>(nodes_[node][column])] = {node, column};
      }
    }
  }

  [[nodiscard]] int nodes() const { return static_cast<int>(nodes_.size()); }
  [[nodiscard]] int ranks() const { return static_cast<int>(places_.size()); }

  /// The rank in the same column, `distance` nodes behind.
  [[nodiscard]] int behind(int rank, int distance) const {
    const auto [node, column] = places_[static_cast<std::size_t>(rank)];
    const int at = (static_cast<int>(node) - distance) % nodes();
    return nodes_[static_cast<std::size_t>((at + nodes()) % nodes())][column];
  }

  /// The ranks of the same node, from the rank itself on backwards: so that each of them reads
  /// from another one.
  [[nodiscard]] std::vector<int> holders(int rank) const {
    const auto [node, column] = places_[static_cast<std::size_t>(rank)];
    const auto& peers = nodes_[node];
    std::vector<int> order;
    for (std::size_t i = 0; i < peers.size(); ++i) {
      order.push_back(peers[(column + peers.size() - i) % peers.size()]);
    }
    return order;
  }

 private:
  const std::vector<std::vector<int>>& nodes_;
  std::vector<std::pair<std::size_t, std::size_t>> places_;  // node and column of each rank
};

/// For every distance between nodes and every rank, what the rank reads when shards have come that
/// far, and whether anyone needs what the rank then holds.
class Needs {
 public:
  Needs(const Plan& plan, const Circle& circle)
      : ranks_(static_cast<std::size_t>(circle.ranks())),
        reads_(static_cast<std::size_t>(circle.nodes()) * ranks_),
        needed_(reads_.size()) {
    for (int distance = 0; distance < circle.nodes(); ++distance) {
      for (int rank = 0; rank < circle.ranks(); ++rank) {
        for (const int holder : circle.holders(rank)) {
          const int owner = circle.behind(holder, distance);
          if (!sees_some(plan.problem, plan.query_shards[static_cast<std::size_t>(rank)],
                         plan.key_shards[static_cast<std::size_t>(owner)])) {
            continue;
          }
          reads_[at(distance, rank)].push_back({.owner = owner, .holder = holder});
          needed_[at(distance, holder)] = true;
        }
      }
    }
  }

  /// Distances count around the circle, in either direction.
  [[nodiscard]] const std::vector<Read>& reads(int distance, int rank) const {
    return reads_[at(distance, rank)];
  }
  [[nodiscard]] bool needed(int distance, int rank) const { return needed_[at(distance, rank)]; }
  [[nodiscard]] bool anyone_needs(int distance) const {
    for (std::size_t rank = 0; rank < ranks_; ++rank) {
      if (needed(distance, static_cast<int>(rank))) return true;
    }
    return false;
  }

 private:
  [[nodiscard]] std::size_t at(int distance, int rank) const {
    const int nodes = static_cast<int>(reads_.size() / ranks_);
    const int turn = (distance % nodes + nodes) % nodes;
    return static_cast<std::size_t>(turn) * ranks_ + static_cast<std::size_t>(rank);
  }

  std::size_t ranks_;
  std::vector<std::vector<Read>> reads_;
  std::vector<bool> needed_;
};

/// How many hops keys travel forward and backward.
struct Reach {
  int forward = 0;
  int backward = 0;
};

/// Cuts the circle of distances at its longest stretch that nobody needs.
Reach reach_of(const Needs& needs, int nodes) {
  std::vector<int> needed{0};
  for (int distance = 1; distance < nodes; ++distance) {
    if (needs.anyone_needs(distance)) needed.push_back(distance);
  }
  needed.push_back(nodes);
  // Ties go to the last gap, which is the one that keeps the ring going one way.
  std::size_t gap = 1;
  for (std::size_t i = 1; i < needed.size(); ++i) {
    if (needed[i] - needed[i - 1] >= needed[gap] - needed[gap - 1]) gap = i;
  }
  return {.forward = needed[gap - 1], .backward = nodes - needed[gap]};
}

/// Appends the steps of a chain of `hops` hops in `direction` (+1 forward, -1 backward), which
/// starts from each rank's own shard.
void append_chain(std::vector<Step>& steps, const Circle& circle, const Needs& needs, int hops,
                  int direction) {
  // Whether the shard of `owner` is needed `hop` or more hops away from it.
  const auto travels = [&](int owner, int hop) {
    for (int distance = hop; distance <= hops; ++distance) {
      const int holder = circle.behind(owner, -direction * distance);
      if (needs.needed(direction * distance, holder)) return true;
    }
    return false;
  };
  for (int hop = 1; hop <= hops; ++hop) {
    // The hop is started in the step before the one that computes with what it brings.
    auto& step = steps.back();
    Step next{std::vector<RankStep>(static_cast<std::size_t>(circle.ranks()))};
    for (int rank = 0; rank < circle.ranks(); ++rank) {
      auto& mine = step.ranks[static_cast<std::size_t>(rank)].hop;
      const int held = circle.behind(rank, direction * (hop - 1));
      if (travels(held, hop)) {
        mine.send_owner = held;
        mine.to = circle.behind(rank, -direction);
      }
      const int coming = circle.behind(rank, direction * hop);
      if (travels(coming, hop)) {
        mine.receive_owner = coming;
        mine.from = circle.behind(rank, direction);
      }
      next.ranks[static_cast<std::size_t>(rank)].reads = needs.reads(direction * hop, rank);
    }
    steps.push_back(std::move(next));
  }
}

}  // namespace

std::vector<Step> ring_steps(const Plan& plan) {
  const Circle circle(plan);
  const Needs needs(plan, circle);
  const auto reach = reach_of(needs, circle.nodes());
  std::vector<Step> steps{Step{std::vector<RankStep>(static_cast<std::size_t>(plan.ranks))}};
  for (int rank = 0; rank < plan.ranks; ++rank) {
    steps.back().ranks[static_cast<std::size_t>(rank)].reads = needs.reads(0, rank);
  }
  append_chain(steps, circle, needs, reach.forward, +1);
  append_chain(steps, circle, needs, reach.backward, -1);
  return steps;
}

}  // namespace annulus
