#pragma once
// Clocks of different hosts.

#include "annulus/comm/communicator.hpp"

namespace annulus::run {

/// Collective. Seconds that the steady clock of this rank is ahead of that of rank 0: none on its
/// host, elsewhere from the quickest of some round trips, half of which it is off at most.
[[nodiscard]] double clock_offset(comm::Communicator& communicator);

}  // namespace annulus::run
