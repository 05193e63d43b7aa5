#pragma once
// Whether a node has the memory that its ranks ask for.

#include <optional>

#include "annulus/comm/communicator.hpp"
#include "annulus/plan/memory.hpp"

namespace annulus {

/// Bytes that this process can still get: of what the machine has available, its control group may
/// have and its limit of address space is, the least. None where the system does not say.
[[nodiscard]] std::optional<double> available_memory();

/// Collective, before work begins. Throws Error on every rank where the ranks of a node need more
/// than it has: names the rank that needs most there, how much, and what there is. `bytes` is what
/// this rank needs at least.
void check_memory(double bytes, comm::Communicator& communicator);

/// The same for what a pass holds on the CPU.
void check_memory(const Plan& plan, Pass pass, comm::Communicator& communicator);

}  // namespace annulus
