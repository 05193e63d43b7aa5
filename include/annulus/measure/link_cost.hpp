#pragma once
// What transfers take, inside nodes and between them.

#include <functional>
#include <optional>

#include "annulus/comm/communicator.hpp"
#include "annulus/device/stream.hpp"
#include "annulus/kernels/kernel.hpp"
#include "annulus/plan/machine.hpp"

namespace annulus::measure {

struct LinkCosts {
  std::optional<LinkCost> inside{};   ///< absent where no two ranks are on a node
  std::optional<LinkCost> between{};  ///< absent where there is one node
  int links = 1;                      ///< of a node to others, as many as go faster together
};

/// Computes for about a millisecond, and calls the poll now and then.
using Work = std::function<void(const kernels::Poll& poll)>;

/// Collective. Sends messages between two ranks of the first node, and between the first two
/// nodes, from one rank of each and from all: small ones, large ones both ways at once, and these
/// beside `work`. Buffers lie in memory of the device of `stream`. The same on all ranks.
[[nodiscard]] LinkCosts measure_link_costs(comm::Communicator& communicator,
                                           const std::shared_ptr<device::Stream>& stream,
                                           const Work& work);

}  // namespace annulus::measure
