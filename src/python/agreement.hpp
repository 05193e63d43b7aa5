#pragma once
// Calls that all ranks make alike, or none.

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "annulus/comm/communicator.hpp"

namespace annulus::python {

/// Names and values of what has to be the same on all ranks.
using Facts = std::vector<std::pair<std::string, std::string>>;

/// Collective, without the GIL. Runs `body`, which must not communicate: where any throws, all
/// ranks throw as comm::together has it; where facts differ, all throw InputError that names the
/// first and two ranks with their values. Costs three numbers that are all-reduced where all is
/// well, and nothing on one rank.
void agree(comm::Communicator& communicator, const std::function<Facts()>& facts,
           const std::function<void()>& body);

}  // namespace annulus::python
