#pragma once
// Where keys of a ring of nodes come from, whatever the nodes are.

#include "plan/circle.hpp"
#include "plan/journey.hpp"

namespace annulus::schedules {

/// Nodes that a node gets keys from, one after the other: those behind it, as far as anyone needs
/// what they have, and then those ahead.
class NodesInTurn {
 public:
  NodesInTurn(const Circle& circle, Reach reach) : nodes_(circle.nodes()), reach_(reach) {}

  /// With the node itself, which comes first.
  [[nodiscard]] int count() const { return 1 + reach_.forward + reach_.backward; }
  [[nodiscard]] int source(int node, int turn) const { return at(node, -distance(turn)); }
  /// The node for which this one is the source.
  [[nodiscard]] int guest(int node, int turn) const { return at(node, distance(turn)); }

 private:
  [[nodiscard]] int distance(int turn) const {
    return turn <= reach_.forward ? turn : reach_.forward - turn;
  }
  [[nodiscard]] int at(int node, int ahead) const {
    return ((node + ahead) % nodes_ + nodes_) % nodes_;
  }

  int nodes_;
  Reach reach_;
};

}  // namespace annulus::schedules
