#pragma once
// How keys reach the ranks that need them.

#include <string>
#include <string_view>

#include "annulus/plan/topology.hpp"

namespace annulus {

enum class Schedule {
  ring,           ///< from rank to rank, all the way round
  node_ring,      ///< from node to node; the ranks of a node read each other's memory in place
  bidirectional,  ///< from rank to rank, one half of every shard each way
};

/// Names and what they stand for, as in "ring (from rank to rank)", by commas.
[[nodiscard]] std::string schedules_text();

[[nodiscard]] std::string_view name_of(Schedule schedule);
/// The inverse of name_of; throws InputError with the list of names.
[[nodiscard]] Schedule parse_schedule(std::string_view name);

/// Whether ranks of a node can read each other's keys where these are: not on GPUs.
enum class PeerMemory { shared, separate };

/// What `auto` stands for: node_ring where memory is shared and every node has as many ranks as the
/// others, and more than one of them; else ring.
[[nodiscard]] Schedule fitting_schedule(const Topology& topology,
                                        PeerMemory memory = PeerMemory::shared);

}  // namespace annulus
