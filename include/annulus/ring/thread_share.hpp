#pragma once
// How many threads a rank should compute with.

#include <string>

#include "annulus/comm/communicator.hpp"
#include "annulus/plan/topology.hpp"

namespace annulus {

/// The threads for `rank`: OMP_NUM_THREADS where that is set, else the cores that it may use, or an
/// even share of the node's cores where that is less. No more than OMP_THREAD_LIMIT, nor than
/// SLURM_CPUS_PER_TASK, which Slurm does not always bind to. Throws InputError where a variable is
/// no number. Asks nobody: core_share knows what the other ranks may use.
[[nodiscard]] int thread_share(const Topology& topology, int rank);

/// What the ranks of a node have of its cores.
struct CoreShare {
  int threads = 1;        ///< that a rank should compute with, as thread_share has it
  int cores_of_node = 1;  ///< that the ranks of the node may use together
  /// Where a launcher or OpenMP leaves cores idle or gives the same ones to several ranks: that,
  /// and what to do. One line; mostly empty.
  std::string remedy{};
};

/// The part of a core that each of the threads has where all ranks of the node compute at once.
/// Those of one rank count as no more than the cores: they share these also while their rank is
/// measured.
[[nodiscard]] double share_of_a_core(const Topology& topology, int rank, const CoreShare& cores);

/// Collective. Ranks that may use the same cores share those, whatever else the machine has.
[[nodiscard]] CoreShare core_share(comm::Communicator& communicator);

}  // namespace annulus
