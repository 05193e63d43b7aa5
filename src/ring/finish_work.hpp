#pragma once
// The end of what a pass has enqueued.

#include "annulus/comm/communicator.hpp"
#include "annulus/device/stream.hpp"

namespace annulus::ring {

/// Returns when the stream has done its work. Throws Error where that failed, or the transport
/// knows that it will never end.
void finish_work(device::Stream& stream, comm::Communicator& communicator);

}  // namespace annulus::ring
