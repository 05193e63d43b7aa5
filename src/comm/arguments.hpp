#pragma once
// What every transport asks of its arguments, with the same messages.

#include <source_location>
#include <span>

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

/// Throws Error unless the peers exist, and what a rank sends to itself is what it receives from
/// itself: as many messages, of the same lengths.
void check_exchange(const Communicator& communicator, std::span<const Send> sends,
                    std::span<const Receive> receives,
                    std::source_location location = std::source_location::current());

/// Throws Error unless `root` is one of the ranks.
void check_root(const Communicator& communicator, int root,
                std::source_location location = std::source_location::current());

/// Throws Error unless the communicator has the `ranks` that `first` is asked for, and at least
/// one.
void check_first(const Communicator& communicator, int ranks,
                 std::source_location location = std::source_location::current());

/// Throws Error unless `received` bytes are what the rank expects from `from`.
void check_length(int rank, int from, std::size_t received, std::size_t expected,
                  std::source_location location = std::source_location::current());

}  // namespace annulus::comm
