#pragma once
// What an input file holds, found out and checked by one rank, told to all.

#include <optional>
#include <string>

#include "annulus/comm/communicator.hpp"
#include "annulus/results/attention_input.hpp"

namespace annulus::results {

/// Reads and checks everything but the rows, which lie as `layout` says, see AttentionInput. Throws
/// InputError that names file and dataset.
[[nodiscard]] InputShape read_input_shape(const std::string& path,
                                          std::optional<ArrayLayout> layout);

/// Collective. Makes `shape` that of rank 0.
void broadcast(comm::Communicator& communicator, InputShape& shape);

}  // namespace annulus::results
