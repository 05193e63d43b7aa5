#pragma once
// The attributes at the root of every results file.

#include <hdf5.h>

#include <string>

#include "annulus/results/provenance.hpp"

namespace annulus::results {

/// The time now, ISO 8601, UTC, in seconds: 2026-01-31T12:00:00Z.
[[nodiscard]] std::string time_now();

/// Writes annulus_version, git_commit, command_line, config, started_at, mpi_library, transport,
/// job, ranks, threads_per_rank, hosts, cpus, cores, device, backend, with complete = 0 and an
/// empty finished_at. The caller holds the Lock.
void write_provenance(hid_t root, const Provenance& provenance, const std::string& started_at);

/// Sets finished_at to now and complete to 1.
void write_completion(hid_t root);

}  // namespace annulus::results
