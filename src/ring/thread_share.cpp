#include "annulus/ring/thread_share.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>

namespace annulus {

int thread_share(const Topology& topology, int rank) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  // A machine with more cores than the set has room for makes the call fail; it is then unbound.
  const int online = static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  const int usable =
      sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : online;
  int ranks = 1;
  if (const auto& nodes = topology.node_of; !nodes.empty()) {
    const int node = nodes[static_cast<std::size_t>(rank)];
    ranks = static_cast<int>(std::count(nodes.begin(), nodes.end(), node));
  }
  return std::max(1, std::min(usable, online / ranks));
}

}  // namespace annulus
