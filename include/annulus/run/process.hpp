#pragma once
// How this process takes part in a job: alone, as one rank among MPI processes, or as ranks that
// are threads; and how it ends.

#include <memory>
#include <string>

#include "annulus/comm/transport.hpp"

namespace annulus::run {

class Process {
 public:
  /// Starts MPI where a launcher started this process. Throws Error where MPI does not start. From
  /// then on, SIGHUP, SIGINT, SIGTERM and SIGXCPU remove partial files before they end the process.
  Process(int argc, char** argv);
  ~Process();

  /// Whether this is the process that speaks for all.
  [[nodiscard]] bool speaks() const;

  /// Runs `body` on every rank of `transport`, see comm::open_transport. Throws InputError where it
  /// cannot be opened, and where a launcher started several processes that MPI does not join.
  int run(const std::string& transport, const comm::RankBody& body);

  /// Reports a failure and returns `code` for main. Where all processes fail alike, the first alone
  /// prints; a process that fails alone prints its own message and ends the whole job.
  int fail(int code, const std::string& message);

  /// The level of thread support that MPI gives; starts MPI if it has not been started. Empty in
  /// builds without MPI.
  [[nodiscard]] std::string start_mpi();

 private:
  struct Session;
  /// How many processes the job has; throws InputError where MPI joins fewer than were launched.
  [[nodiscard]] int processes() const;

  std::unique_ptr<Session> session_;  // null: MPI is not started
};

}  // namespace annulus::run
