#pragma once
// What can be said of MPI without taking part in a job. Only in builds with MPI.

#include <string>

namespace annulus::comm {

/// The MPI library and its version, in one line.
[[nodiscard]] std::string mpi_library();

/// The level of thread support that MPI gives to a process started by no launcher: FUNNELED,
/// SERIALIZED or MULTIPLE; empty where it does not start. A child process tries, since MPI starts
/// once in a process, and beside siblings only with all of them.
[[nodiscard]] std::string thread_level_alone();

}  // namespace annulus::comm
