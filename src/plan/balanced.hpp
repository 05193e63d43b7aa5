#pragma once
// The sharding that balances work as well as rows.

#include "annulus/plan/sharding.hpp"

namespace annulus {

/// Cuts the packed rows into chunks of equal length, as many for each rank, and deals them out so
/// that the work is even: the largest chunk first, to the rank with the least work that still has
/// room. Memory is that of n / P rows; of one causal document it makes zigzag. It takes the fewest
/// chunks a rank, from 1 in powers of 2, with which the mean work is at least 0.97 of the largest.
/// Cuts that are near the start of a document move there, so that documents stay whole.
[[nodiscard]] std::vector<Shard> balanced_shards(std::span<const Index> offsets, int ranks,
                                                 const RowWork& work);

}  // namespace annulus
