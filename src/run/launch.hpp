#pragma once
// How a launcher says, in the environment, that it started this process.

#include <optional>
#include <string>

namespace annulus::run {

struct Launch {
  std::optional<int> processes{};  ///< of the job; none: no launcher, or one that does not say
  std::optional<int> rank{};       ///< of this process
  std::string rank_variable{};     ///< that `rank` is from

  /// Whether there may be other processes.
  [[nodiscard]] bool several() const { return processes ? *processes > 1 : rank.has_value(); }
};

/// What Open MPI, MPICH and its kin, Slurm, PALS, Flux and PMIx leave in the environment, the
/// innermost launcher first. Throws InputError, with the name of the variable, where it is no
/// number.
[[nodiscard]] Launch read_launch();

}  // namespace annulus::run
