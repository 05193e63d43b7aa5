#pragma once
// Sums of many numbers over ranks.

#include <span>

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

/// Whether it pays to exchange parts rather than to bring all numbers of all ranks to each: a part
/// is worth its messages.
[[nodiscard]] bool worth_parts(std::span<const double> data, int ranks);

/// Collective. The sums over ranks in their order, in place, the same bits everywhere: each rank
/// sums one part of the numbers, and passes it on to all others. A rank sends and receives each
/// number twice, however many ranks there are.
void sum_by_parts(Communicator& communicator, std::span<double> data);

}  // namespace annulus::comm
