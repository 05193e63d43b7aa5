#pragma once
// The link beside what passes reach on it.

#include <memory>

#include "annulus/comm/communicator.hpp"
#include "annulus/device/stream.hpp"
#include "annulus/plan/pass.hpp"
#include "annulus/plan/plan.hpp"

namespace annulus::measure {

/// Collective. Seconds that the slowest rank takes for the transfers of a pass of `plan` without
/// anything to compute: the same messages between the same ranks in the same order, as pings round
/// the ring where that is the schedule. The best of some runs, of at least a tenth of a second
/// together; the same on all ranks. NaN where nothing is sent. Buffers lie in memory of the device
/// of `stream`.
[[nodiscard]] double seconds_of_transfers_alone(const Plan& plan, Pass pass,
                                                comm::Communicator& communicator,
                                                const std::shared_ptr<device::Stream>& stream);

}  // namespace annulus::measure
