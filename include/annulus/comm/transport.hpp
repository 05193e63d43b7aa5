#pragma once
// Transports by name: what `--transport` chooses from.

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "annulus/comm/communicator.hpp"
#include "annulus/comm/watch.hpp"

namespace annulus::comm {

/// Runs as one rank and returns the exit code, the same on every rank. `files` has the same ranks,
/// and is how they share files: it may know more of the processes than what they compute over.
using RankBody = std::function<int(Communicator&, Communicator& files)>;

/// Runs a body on every rank that this process has, and returns its exit code.
using RankRunner = std::function<int(const RankBody&)>;

/// How this process was started.
struct Job {
  bool launched = false;              ///< by a launcher, and MPI is initialised
  int processes = 1;                  ///< of the job
  std::function<void()> start_mpi{};  ///< initialises MPI where that has not happened yet
  Watch watch{};                      ///< of waits for other processes
};

/// A transport. One file each in src/comm/transports, and one line in registry.cpp there.
struct Transport {
  std::string_view name;
  std::string_view argument{};  ///< what follows the name, such as ":P"
  std::string_view description;
  /// How a build gets it that does not have it; empty: this build has it.
  std::string_view missing{};
  /// Whether all ranks are in one process.
  bool one_process = false;
  /// Whether a wait for a peer can end at Watch::timeout: where there are peers to wait for.
  bool has_timeout = false;
  /// Whether `auto` means this one; null: never.
  bool (*automatic)(const Job& job) = nullptr;
  /// Makes the ranks, given what follows the colon. Throws InputError where that makes no sense, or
  /// the machine lacks what it takes. Not called where this build lacks the transport.
  RankRunner (*open)(std::string_view argument, const Job& job);

  /// The name with its argument: "threads:P".
  [[nodiscard]] std::string syntax() const { return std::string(name).append(argument); }
};

/// The registered transports, also those that this build lacks, in the order in which they are
/// listed to users.
[[nodiscard]] std::span<const Transport* const> transports();

/// Opens the transport that `text` names, `auto` or NAME[:ARGUMENT]. Throws InputError where it is
/// unknown, not in this build, or does not fit the way in which the process was started.
[[nodiscard]] RankRunner open_transport(const std::string& text, const Job& job);

}  // namespace annulus::comm
