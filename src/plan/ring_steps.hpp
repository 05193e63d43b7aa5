#pragma once
// Who computes with whose keys at which step, and how the keys get there.

#include <vector>

#include "annulus/plan/plan.hpp"

namespace annulus {

/// The steps of a ring of nodes, for a plan whose shards and nodes are made.
[[nodiscard]] std::vector<Step> ring_steps(const Plan& plan);

}  // namespace annulus
