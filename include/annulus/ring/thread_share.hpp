#pragma once
// How many threads a rank should compute with.

#include "annulus/plan/topology.hpp"

namespace annulus {

/// The cores that `rank` may use, or an even share of the node's cores where that is less: ranks
/// that a launcher has bound keep to their cores, and unbound ranks do not fight for them.
[[nodiscard]] int thread_share(const Topology& topology, int rank);

}  // namespace annulus
