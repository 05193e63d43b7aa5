#pragma once
// MPI calls whose failures become Errors.

#include <mpi.h>

#include <source_location>

namespace annulus::comm {

/// Throws Error unless `code` is MPI_SUCCESS. The message names the MPI call, the rank, what MPI
/// says of the code, and the place.
void check_mpi(int code, const char* call, int rank,
               std::source_location location = std::source_location::current());

}  // namespace annulus::comm
