#pragma once
// Where ranks run whom no host communicator knows, and which GPUs they have.

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "annulus/plan/topology.hpp"

namespace annulus::comm {

/// What the processes of one host have in common, and others have not: its name and when it
/// started, as NCCL tells hosts apart.
[[nodiscard]] std::vector<std::byte> this_host();

/// The node of each rank, of which `hosts` has what its this_host() says; numbered in the order of
/// their lowest ranks.
[[nodiscard]] std::vector<int> nodes_of_hosts(const std::vector<std::vector<std::byte>>& hosts);

/// Throws InputError where two ranks of a node have the same GPU; `addresses` by rank.
void check_gpus(const Topology& topology, const std::vector<std::string>& addresses);

}  // namespace annulus::comm
