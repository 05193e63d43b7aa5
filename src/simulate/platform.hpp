#pragma once
// A machine that is simulated: nodes, links, and the network between nodes.

#include <string>
#include <variant>
#include <vector>

#include "annulus/base/index.hpp"

namespace annulus::simulate {

/// Of each rank, and in each direction.
struct LinkRate {
  double bandwidth = 0;  ///< bytes/s
  double latency = 0;    ///< seconds
};

/// All nodes at one switch, which is never short of bandwidth.
struct Crossbar {
  Index nodes = 1;
};

/// Levels from the nodes up: how many below a switch, how many switches above each of these, and by
/// how many links to each.
struct FatTree {
  std::vector<Index> down;
  std::vector<Index> up;
  std::vector<Index> links;
};

/// Groups of chassis of routers of nodes: {how many, by how many links}, all-to-all on every level.
struct Dragonfly {
  std::vector<Index> groups;
  std::vector<Index> chassis;
  std::vector<Index> routers;
  Index nodes = 1;  ///< of a router
};

/// Ranks do not read each other's memory: a rank is a GPU, or a core with memory of its own.
struct Platform {
  std::string name;
  Index ranks_per_node = 1;
  LinkRate inside{};         ///< between ranks of a node
  LinkRate outside{};        ///< from a rank to the network: a rail of its own
  double hop_latency = 0;    ///< of a link between switches, which has the rails of a node
  double payload = 1;        ///< the part of a bandwidth that messages get
  double busy_per_byte = 0;  ///< seconds of the core of either end, which computes nothing then
  Index eager_bytes = 0;     ///< smaller messages do not wait for their receiver
  std::variant<Crossbar, FatTree, Dragonfly> network{};

  [[nodiscard]] Index nodes() const;
  [[nodiscard]] Index ranks() const { return nodes() * ranks_per_node; }
};

/// Reads a file of configs/platforms. Throws InputError, with file and key, for what makes no
/// sense.
[[nodiscard]] Platform read_platform(const std::string& path);

}  // namespace annulus::simulate
