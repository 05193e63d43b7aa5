#pragma once
// Ranks as threads of one process: tests without a launcher, and several ranks on one GPU.

#include <functional>

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

/// Runs `body` on `ranks` threads, each with its own communicator, and returns when all are done.
/// Where one throws, the waits of the others end with an Error, and the first exception that was
/// not such a consequence is thrown again here. Throws InputError for fewer than one rank.
void run_threads(int ranks, const std::function<void(Communicator&)>& body);

}  // namespace annulus::comm
