#pragma once
// Which ranks there are and on which nodes they run.

#include <vector>

namespace annulus {

struct Topology {
  int ranks = 1;
  /// Node of each rank, numbered from 0; ranks of one node can read each other's memory. Empty:
  /// nothing is known, which counts as every rank on a node of its own.
  std::vector<int> node_of{};
};

/// The ranks of each node, in their order. Throws InputError where `node_of` is neither empty nor
/// one number >= 0 for each rank.
[[nodiscard]] std::vector<std::vector<int>> ranks_of_nodes(const Topology& topology);

/// How many ranks a node has.
struct NodeSizes {
  int fewest = 1;
  int most = 1;

  /// Whether every node has as many.
  [[nodiscard]] bool even() const { return fewest == most; }
};

/// Of all nodes. Throws as ranks_of_nodes() does.
[[nodiscard]] NodeSizes node_sizes(const Topology& topology);

/// Whether two ranks are on one node.
[[nodiscard]] bool same_node(const Topology& topology, int rank, int other);

/// The ranks of the node of `rank`, itself among them, in their order.
[[nodiscard]] std::vector<int> peers_of(const Topology& topology, int rank);

/// How many ranks of its node come before `rank`.
[[nodiscard]] int place_on_node(const Topology& topology, int rank);

/// `ranks` ranks, `per_node` of them on every node but perhaps the last. Throws InputError for
/// fewer than one of either.
[[nodiscard]] Topology even_topology(int ranks, int per_node);

}  // namespace annulus
