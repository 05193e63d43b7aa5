#pragma once
// Partial states of all ranks, merged on the ranks that own the rows.

#include <span>

#include "annulus/base/tensor_view.hpp"
#include "annulus/comm/communicator.hpp"
#include "annulus/ring/ring_attention.hpp"

namespace annulus::ring {

/// Collective. `states` (rows, H, state_width(d_v)) are dense and hold the rows of rank 0, then
/// those of rank 1 and so on; rank r has rows offsets[r] .. offsets[r + 1] - 1. On return the rows
/// of this rank hold the states of all ranks, merged; the others are used up. For every owner the
/// ranks form a binomial tree, and all trees share ceil(log2 P) exchanges.
void merge_states(comm::Communicator& communicator, TensorView states,
                  std::span<const Index> offsets, PassReport& report);

}  // namespace annulus::ring
