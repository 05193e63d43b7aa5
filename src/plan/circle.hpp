#pragma once
// Nodes in a circle, each with as many ranks in a row.

#include <cstddef>
#include <span>
#include <vector>

#include "annulus/base/index.hpp"

namespace annulus {

/// A node is ranks that read each other's memory, or one rank alone. Columns are the places of
/// ranks on their nodes.
class Circle {
 public:
  /// `ranks` nodes of one rank each.
  explicit Circle(int ranks) : ranks_(ranks), columns_(1) {}
  /// The nodes given, all of the same size.
  explicit Circle(std::vector<std::vector<int>> nodes);

  [[nodiscard]] int ranks() const { return ranks_; }
  [[nodiscard]] int nodes() const { return ranks_ / columns_; }
  [[nodiscard]] int columns() const { return columns_; }

  [[nodiscard]] int node_of(int rank) const;
  [[nodiscard]] int column_of(int rank) const;
  [[nodiscard]] int rank_at(int node, int column) const;
  /// Where a rank comes among all, node by node, and the rank that comes there.
  [[nodiscard]] int place_of(int rank) const;
  [[nodiscard]] int rank_at_place(int place) const;

  /// The rank in the same column, `distance` nodes behind; ahead where it is negative.
  [[nodiscard]] int behind(int rank, int distance) const;

  /// The ranks of the node of `rank`, in their order.
  [[nodiscard]] std::vector<int> peers(int rank) const;
  /// The same, from the rank itself on backwards: so that each of them begins with another one.
  [[nodiscard]] std::vector<int> peers_in_turn(int rank) const;

  /// Appends the nodes that have a rank in one of `ranks`, as ranges.
  void add_nodes_of(std::span<const Interval> ranks, std::vector<Interval>& nodes) const;
  /// Appends the ranks of a range of nodes, as ranges.
  void add_ranks_of(Interval nodes, std::vector<Interval>& ranks) const {
    add_ranks_at({nodes.begin * columns_, nodes.end * columns_}, ranks);
  }
  /// The ranks of a range of places, likewise.
  void add_ranks_at(Interval places, std::vector<Interval>& ranks) const;

 private:
  int ranks_;
  int columns_;
  bool in_order_ = true;       // node n holds ranks n m to (n + 1) m - 1
  std::vector<int> rank_at_;   // by node and column; empty where they are in order
  std::vector<int> place_of_;  // of each rank in rank_at_; likewise
};

}  // namespace annulus
