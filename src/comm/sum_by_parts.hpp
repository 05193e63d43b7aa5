#pragma once
// Sums of many numbers over ranks.

#include <cstddef>
#include <span>

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

/// Whether it pays to exchange parts of so many numbers rather than to bring all numbers of all
/// ranks to each: a part is worth its messages.
[[nodiscard]] bool worth_parts(std::size_t numbers, int ranks);

/// Collective. The sums over ranks in their order, in place, the same bits everywhere: each rank
/// sums one part of the numbers, and passes it on to all others. A rank sends and receives each
/// number twice, however many ranks there are. Sums are made in fp64 and rounded once.
template <class T>
void sum_by_parts(Communicator& communicator, std::span<T> data);

/// Collective. The same sums of any number of fp32 numbers.
void sum(Communicator& communicator, std::span<float> data);

}  // namespace annulus::comm
