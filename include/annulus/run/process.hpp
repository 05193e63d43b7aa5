#pragma once
// How this process takes part in a job: alone, as one rank among MPI processes, or as ranks that
// are threads; and how it ends.

#include <functional>
#include <memory>
#include <string>

#include "annulus/comm/communicator.hpp"

namespace annulus::run {

/// Runs as one rank and returns the exit code, the same on every rank. `files` has the same ranks,
/// and is how they share files: it may know more of the processes than what they compute over.
using RankBody = std::function<int(comm::Communicator&, comm::Communicator& files)>;

class Process {
 public:
  /// Starts MPI where a launcher started this process. Throws Error where MPI does not start.
  Process(int argc, char** argv);
  ~Process();

  /// Whether this is the process that speaks for all.
  [[nodiscard]] bool speaks() const;

  /// Runs `body` on every rank of `transport`: auto, self, threads:P, mpi, nccl. Throws InputError
  /// where the transport is unknown or does not fit the way in which the process was started, and
  /// where a launcher started several processes that MPI does not join.
  int run(const std::string& transport, const RankBody& body);

  /// Reports a failure and returns `code` for main. Where all processes fail alike, the first alone
  /// prints; a process that fails alone prints its own message and ends the whole job.
  int fail(int code, const std::string& message);

  /// The level of thread support that MPI gives; starts MPI if it has not been started. Empty in
  /// builds without MPI.
  [[nodiscard]] std::string start_mpi();

 private:
  struct Session;
  std::unique_ptr<Session> session_;  // null: MPI is not started
};

}  // namespace annulus::run
