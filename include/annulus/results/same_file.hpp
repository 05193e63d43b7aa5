#pragma once
// That ranks on several hosts mean the same file by the same name.

#include <string>

#include "annulus/comm/communicator.hpp"

namespace annulus::results {

/// Collective. Where rank 0 can read `path`, throws InputError, on every rank, unless all see the
/// file that it sees: of the same size, time of change and first bytes. The message names the path,
/// the rank and the host. Where rank 0 cannot read it, whatever rank 0 does next will say so.
void check_same_file(comm::Communicator& communicator, const std::string& path);

}  // namespace annulus::results
