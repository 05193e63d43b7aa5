#pragma once
// Who computes with whose keys at which step, and how the keys get there.

#include <vector>

#include "plan/tables.hpp"

namespace annulus {

/// The programs of all ranks in a ring of nodes; the shards and nodes of `tables` are made.
[[nodiscard]] std::vector<Program> ring_programs(const Plan::Tables& tables);

}  // namespace annulus
