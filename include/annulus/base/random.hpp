#pragma once
// Random numbers that are a function of where they stand: the same whatever the number of ranks,
// the standard library and the order in which they are asked for.

#include <cstdint>
#include <span>

namespace annulus {

/// Writes the standard normal numbers of row `row` of an independent set `stream`, the first of
/// them into values[0]: Philox4x64-10 (Random123) at counter (row, i, stream, 0) with key (seed, 0)
/// gives numbers 4i to 4i + 3, in pairs by Box and Muller.
void fill_normal(std::span<double> values, std::uint64_t seed, std::uint64_t stream,
                 std::uint64_t row);

}  // namespace annulus
