#pragma once
// Where a results file comes from: the attributes at its root.

#include <string>
#include <vector>

namespace annulus::results {

/// Every number in a results file can be traced by these. Version, commit and times are added by
/// whoever writes the file.
struct Provenance {
  std::string command_line;
  std::string config;       ///< the effective configuration, as TOML, every key spelled out
  std::string mpi_library;  ///< empty without MPI
  std::string transport{};  ///< self, threads, mpi, nccl
  std::string job{};        ///< what the scheduler calls the job, as in "SLURM_JOB_ID=7"; or empty
  int ranks = 1;
  int threads_per_rank = 1;
  std::vector<std::string> hosts;    ///< of each rank
  std::vector<std::string> cpus{};   ///< the model of the CPU of each rank
  std::vector<std::string> cores{};  ///< those that each rank may use, as in "0-3,8"
  std::string device;
  std::string backend;
};

}  // namespace annulus::results
