#pragma once
// How this process takes part in a job: alone, as one rank among MPI processes, or as ranks that
// are threads; and how it ends.

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "annulus/comm/transport.hpp"

namespace annulus::run {

/// Writes a line of this program to standard error, with control characters spelled out. Never
/// fails: what cannot be written is lost.
void say(std::string_view message);

class Process {
 public:
  /// Learns from the environment whether a launcher started this process and others; throws
  /// InputError where a variable of it is no number. Starts no MPI. From then on, SIGHUP, SIGINT,
  /// SIGTERM and SIGXCPU remove partial files before they end the process.
  Process();
  ~Process();

  /// Says that the first process of a job computes and the others have nothing to do: no MPI is
  /// needed, not even for failing together.
  void compute_alone();

  /// Whether a launcher started this process, alone or with others.
  [[nodiscard]] bool launched() const;

  /// Whether this is the process that speaks for all.
  [[nodiscard]] bool speaks() const;

  /// Runs `body` on every rank of `transport`, see comm::open_transport; starts MPI where there are
  /// several processes or the transport asks for it. Throws InputError where the transport cannot
  /// be opened, and where a launcher started processes that MPI does not join. Says for whom a
  /// process waits that waits long; throws Error where that lasts for `timeout`.
  int run(const std::string& transport, std::optional<std::chrono::seconds> timeout,
          const comm::RankBody& body);

  /// Reports a failure and returns `code` for main. Where all processes fail alike, the first alone
  /// prints; a process that fails alone prints its own message and ends the whole job.
  int fail(int code, const std::string& message);

 private:
  struct State;
  /// How many processes the job has; throws InputError where MPI joins others than were launched.
  [[nodiscard]] int processes();
  void start_mpi();

  std::unique_ptr<State> state_;
};

}  // namespace annulus::run
