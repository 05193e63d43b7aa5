#pragma once
// Ranks as threads of one process: tests without a launcher, and several ranks on one GPU.

#include <functional>

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

/// Runs `body` on `ranks` threads, each with its own communicator, and returns when all are done.
/// Where one throws, the waits of the others end with an Error, and the first exception that was
/// not such a consequence is thrown again here. Throws InputError for fewer than one rank.
void run_threads(int ranks, const std::function<void(Communicator&)>& body);

/// The same, as if the ranks were on the nodes of `topology`: what crosses nodes is sent, although
/// it could be read in place. Throws InputError for a topology that makes no sense.
void run_threads(const Topology& topology, const std::function<void(Communicator&)>& body);

}  // namespace annulus::comm
