#pragma once
// What every transport asks of its arguments, with the same messages.

#include <optional>
#include <source_location>

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

/// Throws Error unless the peers exist, and a rank that sends to itself also receives as many bytes
/// from itself, and the other way round.
void check_exchange(const Communicator& communicator, const std::optional<Send>& send,
                    const std::optional<Receive>& receive,
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
