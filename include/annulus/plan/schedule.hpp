#pragma once
// How queries and keys reach each other.

#include <string>
#include <string_view>

#include "annulus/base/index.hpp"
#include "annulus/plan/topology.hpp"

namespace annulus {

/// What travels, and which way.
enum class Movement {
  ring,           ///< keys from rank to rank, all the way round
  node_ring,      ///< keys from node to node; the ranks of a node read each other's memory in place
  bidirectional,  ///< keys from rank to rank, one half of every shard each way
  double_ring,    ///< keys round a ring of nodes and, in each step of it, round the ranks of a node
  tiles,          ///< queries to some ranks and keys to others, so that they meet everywhere
};

/// A movement of teams. A team is `heads` ranks that share out the heads of all their rows among
/// each other: what each of them computes with is of some heads, and of the rows of all of them.
struct Schedule {
  Movement movement = Movement::ring;
  int heads = 1;  ///< ranks of a team
  int inner = 0;  ///< double_ring: teams of an inner ring; 0: those of a node
  /// tiles: how many teams' queries and keys meet at each of them; 0: the fewest bytes.
  int query_teams = 0;
  int key_teams = 0;

  /// Those of one rank a team.
  static const Schedule ring;
  static const Schedule node_ring;
  static const Schedule bidirectional;

  [[nodiscard]] bool queries_travel() const { return heads > 1 || movement == Movement::tiles; }
  /// Whether a backward pass begins with keys that its forward pass has kept.
  [[nodiscard]] bool keeps_keys() const {
    return heads == 1 && movement != Movement::tiles && movement != Movement::double_ring;
  }
  friend bool operator==(const Schedule&, const Schedule&) = default;
};

inline constexpr Schedule Schedule::ring{.movement = Movement::ring};
inline constexpr Schedule Schedule::node_ring{.movement = Movement::node_ring};
inline constexpr Schedule Schedule::bidirectional{.movement = Movement::bidirectional};

/// Names and what they stand for, as in "ring (from rank to rank)", by commas.
[[nodiscard]] std::string schedules_text();

/// As in "ring", "double-ring:4", "heads:2", "heads:2+tiles:2x3"; without sizes that are still to
/// be chosen.
[[nodiscard]] std::string name_of(const Schedule& schedule);
/// The inverse of name_of; throws InputError with what was expected.
[[nodiscard]] Schedule parse_schedule(std::string_view name);

/// Whether ranks of a node can read each other's keys where these are: not on GPUs.
enum class PeerMemory { shared, separate };

/// What `auto` stands for: node_ring where memory is shared and every node has as many ranks as the
/// others, and more than one of them; else ring.
[[nodiscard]] Schedule fitting_schedule(const Topology& topology,
                                        PeerMemory memory = PeerMemory::shared);

}  // namespace annulus
