#pragma once
// What all ranks did when, for Perfetto and chrome://tracing.

#include <string>
#include <vector>

#include "annulus/comm/communicator.hpp"
#include "annulus/ring/pass_trace.hpp"

namespace annulus::run {

/// Throws InputError naming --trace where no file can be made at `path`.
void check_trace_path(const std::string& path);

/// Collective. Rank 0 writes what the ranks did to `path`, as Chrome trace events: one process a
/// rank, in which computing and waiting are a thread and transfers lie beside it. Times are of one
/// clock, that of rank 0's host; clocks of other hosts are off by half of the quickest of some
/// round trips at most. What stood under the path is replaced once the new file is whole. Throws
/// Error where it cannot be written.
void write_chrome_trace(const std::string& path, const std::vector<PassTrace>& traces,
                        comm::Communicator& communicator);

}  // namespace annulus::run
