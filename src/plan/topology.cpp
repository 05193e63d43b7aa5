#include "annulus/plan/topology.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus {

std::vector<std::vector<int>> ranks_of_nodes(const Topology& topology) {
  const auto& node_of = topology.node_of;
  if (!node_of.empty() && node_of.size() != static_cast<std::size_t>(topology.ranks)) {
    throw InputError(fmt::format("a topology gives the nodes of {} ranks; expected {}",
                                 node_of.size(), topology.ranks));
  }
  std::vector<int> order(static_cast<std::size_t>(topology.ranks));
  std::iota(order.begin(), order.end(), 0);
  const auto node = [&](int rank) {
    return node_of.empty() ? rank : node_of[static_cast<std::size_t>(rank)];
  };
  if (!std::ranges::is_sorted(node_of)) std::ranges::stable_sort(order, {}, node);
  std::vector<std::vector<int>> nodes;
  for (const int rank : order) {
    if (node(rank) < 0) {
      throw InputError(fmt::format("rank {} is on node {}; expected 0 or more", rank, node(rank)));
    }
    if (nodes.empty() || node(nodes.back().front()) != node(rank)) nodes.emplace_back();
    nodes.back().push_back(rank);
  }
  return nodes;
}

NodeSizes node_sizes(const Topology& topology) {
  const auto nodes = ranks_of_nodes(topology);
  if (nodes.empty()) return {};
  const auto [fewest, most] = std::ranges::minmax(nodes, {}, &std::vector<int>::size);
  return {static_cast<int>(fewest.size()), static_cast<int>(most.size())};
}

bool same_node(const Topology& topology, int rank, int other) {
  const auto& node_of = topology.node_of;
  if (node_of.empty()) return rank == other;
  return node_of[static_cast<std::size_t>(rank)] == node_of[static_cast<std::size_t>(other)];
}

std::vector<int> peers_of(const Topology& topology, int rank) {
  if (topology.node_of.empty()) return {rank};
  std::vector<int> peers;
  for (int other = 0; other < topology.ranks; ++other) {
    if (same_node(topology, rank, other)) peers.push_back(other);
  }
  return peers;
}

int place_on_node(const Topology& topology, int rank) {
  if (topology.node_of.empty()) return 0;
  int place = 0;
  for (int other = 0; other < rank; ++other) place += same_node(topology, rank, other) ? 1 : 0;
  return place;
}

Topology even_topology(int ranks, int per_node) {
  if (ranks < 1 || per_node < 1) {
    throw InputError(
        fmt::format("{} ranks, {} on each node; expected at least 1 of both", ranks, per_node));
  }
  Topology topology{.ranks = ranks};
  for (int rank = 0; rank < ranks; ++rank) topology.node_of.push_back(rank / per_node);
  return topology;
}

}  // namespace annulus
