#include "ring/circulate.hpp"

#include <chrono>
#include <memory>
#include <optional>

namespace annulus::ring {

void circulate(const Plan& plan, comm::Communicator& communicator, ShardBuffers& buffers, bool keep,
               const ComputeStep& compute, PassReport& report) {
  using Clock = std::chrono::steady_clock;
  const auto rank = static_cast<std::size_t>(communicator.rank());
  for (const auto& step : plan.steps) {
    const auto& [compute_owner, hop] = step.ranks[rank];
    std::optional<comm::Send> send;
    std::optional<comm::Receive> receive;
    if (hop.to >= 0) send = {hop.to, buffers.packed(hop.send_owner)};
    if (hop.from >= 0) receive = {hop.from, buffers.arrival(hop.receive_owner)};
    std::unique_ptr<comm::Exchange> exchange;
    if (send || receive) exchange = communicator.exchange(send, receive);
    if (send) report.bytes_sent += static_cast<Index>(send->data.size());

    if (compute_owner >= 0 && compute) {
      compute(compute_owner, [&] {
        if (exchange) exchange->poll();
      });
    }

    const auto computed = Clock::now();
    if (exchange) exchange->wait();
    exchange.reset();
    report.exposed_seconds += std::chrono::duration<double>(Clock::now() - computed).count();
    // What is sent on in this hop comes back the same way.
    const bool comes_back = hop.to >= 0 && hop.send_owner == buffers.current_owner();
    if (receive) buffers.arrived(hop.receive_owner, keep && !comes_back);
  }
}

}  // namespace annulus::ring
