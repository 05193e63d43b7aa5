#pragma once
// Memory that MPI processes of one node share.

#include <mpi.h>

#include <memory>

#include "annulus/comm/shared_memory.hpp"

namespace annulus::comm {

/// Collective over `node`, whose processes share memory. Regions of `bytes` for its processes,
/// which are ranks `ranks` of the communicator in which `rank` is this process. The memory is freed
/// collectively with the last reference to it. Throws Error where MPI has no such memory.
[[nodiscard]] std::unique_ptr<SharedMemory> make_mpi_window(MPI_Comm node,
                                                            const std::vector<int>& ranks, int rank,
                                                            Index bytes);

}  // namespace annulus::comm
