#include "plan/ring_programs.hpp"

#include <algorithm>
#include <utility>

namespace annulus {
namespace {

/// Nodes in a circle, each with its ranks in a row; a shard stays in its column on its way round.
class Circle {
 public:
  explicit Circle(const Plan::Tables& tables)
      : nodes_(tables.nodes), places_(static_cast<std::size_t>(tables.ranks)) {
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
  Needs(const Plan::Tables& tables, const Circle& circle)
      : ranks_(static_cast<std::size_t>(circle.ranks())),
        reads_(static_cast<std::size_t>(circle.nodes()) * ranks_),
        needed_(reads_.size()) {
    for (int distance = 0; distance < circle.nodes(); ++distance) {
      for (int rank = 0; rank < circle.ranks(); ++rank) {
        for (const int holder : circle.holders(rank)) {
          const int owner = circle.behind(holder, distance);
          if (!sees_some(tables.problem, tables.query_shards[static_cast<std::size_t>(rank)],
                         tables.key_shards[static_cast<std::size_t>(owner)])) {
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

/// A number of hops in one direction (+1 forward, -1 backward), which starts from each rank's own
/// shard.
class Chain {
 public:
  Chain(const Circle& circle, const Needs& needs, int hops, int direction)
      : circle_(circle),
        needs_(needs),
        hops_(hops),
        direction_(direction),
        travels_(static_cast<std::size_t>(circle.ranks())) {
    for (int owner = 0; owner < circle.ranks(); ++owner) {
      auto& travels = travels_[static_cast<std::size_t>(owner)];
      for (int distance = 1; distance <= hops; ++distance) {
        const int holder = circle.behind(owner, -direction * distance);
        if (needs.needed(direction * distance, holder)) travels = distance;
      }
    }
  }

  /// Appends its steps to the program of `rank`. A hop is started in the step before the one that
  /// computes with what it brings.
  void append_to(Program& program, int rank) const {
    const int behind = circle_.behind(rank, direction_);
    const int ahead = circle_.behind(rank, -direction_);
    for (int hop = 1; hop <= hops_; ++hop) {
      auto& mine = program.back().hop;
      if (sends(rank, hop)) {
        mine.send_owner = circle_.behind(rank, direction_ * (hop - 1));
        mine.to = ahead;
        mine.send_returns = returns_to(rank, hop);
      }
      if (receives(rank, hop)) {
        mine.receive_owner = circle_.behind(rank, direction_ * hop);
        mine.from = behind;
        mine.receive_returns = returns_to(behind, hop);
      }
      program.push_back({.reads = needs_.reads(direction_ * hop, rank), .hop = {}});
    }
  }

 private:
  /// Whether the shard of the owner `distance` nodes behind is needed `hop` or more hops away from
  /// its owner.
  [[nodiscard]] bool travels(int rank, int distance, int hop) const {
    const int owner = circle_.behind(rank, direction_ * distance);
    return travels_[static_cast<std::size_t>(owner)] >= hop;
  }
  [[nodiscard]] bool sends(int rank, int hop) const { return travels(rank, hop - 1, hop); }
  [[nodiscard]] bool receives(int rank, int hop) const { return travels(rank, hop, hop); }
  /// Whether what `rank` sends in this hop comes back: it is not its own, and another takes its
  /// place.
  [[nodiscard]] bool returns_to(int rank, int hop) const {
    return hop > 1 && sends(rank, hop) && receives(rank, hop);
  }

  const Circle& circle_;
  const Needs& needs_;
  int hops_;
  int direction_;
  std::vector<int> travels_;  // how many hops the shard of each owner makes
};

}  // namespace

std::vector<Program> ring_programs(const Plan::Tables& tables) {
  const Circle circle(tables);
  const Needs needs(tables, circle);
  const auto reach = reach_of(needs, circle.nodes());
  const Chain forward(circle, needs, reach.forward, +1);
  const Chain backward(circle, needs, reach.backward, -1);
  std::vector<Program> programs;
  for (int rank = 0; rank < tables.ranks; ++rank) {
    auto& program = programs.emplace_back();
    program.push_back({.reads = needs.reads(0, rank), .hop = {}});
    forward.append_to(program, rank);
    backward.append_to(program, rank);
  }
  return programs;
}

}  // namespace annulus
