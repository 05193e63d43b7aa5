#pragma once
// Errors that all ranks learn of together, so that none waits for one that has given up.

#include <functional>

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

/// Collective. Rank 0 runs `body`; where it throws an annulus::Error (or InputError), every rank
/// throws one of the same kind with the same message.
void on_root(Communicator& communicator, const std::function<void()>& body);

/// Collective. Every rank runs `body`, which must not communicate; where any throws, every rank
/// throws an Error of the same kind as the lowest rank that threw, with its message. Costs one
/// number that is all-reduced where none throws.
void together(Communicator& communicator, const std::function<void()>& body);

}  // namespace annulus::comm
