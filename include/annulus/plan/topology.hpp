#pragma once
// Which ranks there are and on which nodes they run.

#include <vector>

namespace annulus {

struct Topology {
  int ranks = 1;
  std::vector<int> node_of{};  ///< node of each rank, numbered from 0; empty: all on node 0
};

}  // namespace annulus
