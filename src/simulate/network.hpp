#pragma once
// A platform as SimGrid has it.

#include <vector>

#include "simulate/platform.hpp"

namespace simgrid::s4u {
class Host;
}

namespace annulus::simulate {

/// Sets SimGrid's models, of an engine that is there and before SMPI is initialised.
void configure(const Platform& platform);

/// Makes hosts and links; once in a process, after that. The host of each rank, in their order.
[[nodiscard]] std::vector<simgrid::s4u::Host*> make_network(const Platform& platform);

}  // namespace annulus::simulate
