#pragma once
// What a rank puts in the memory that its node shares.

#include <array>

#include "annulus/plan/pass.hpp"
#include "annulus/plan/plan.hpp"

namespace annulus {

/// Where each part begins, in bytes from the start of a rank's region; the same for all ranks of a
/// plan, so that they find what their peers hold. Parts are as large as the largest shard needs.
struct NodeMemory {
  Index own = 0;  ///< the rank's keys and values, packed
  std::array<Index, 2>
      received{};      ///< shards that arrive: for step s of a forward pass in place s mod 2
  Index own_sums = 0;  ///< gradients of `own`; backward passes alone, as below
  std::array<Index, 2> received_sums{};  ///< gradients of what was received
  Index bytes = 0;                       ///< of the region; 0 where nobody reads in place
};

[[nodiscard]] NodeMemory node_memory_of(const Plan& plan, Pass pass);

}  // namespace annulus
