#include "ring/circulate.hpp"

#include <chrono>
#include <memory>
#include <optional>

namespace annulus::ring {

void circulate(const Plan& plan, comm::Communicator& communicator, Node& node,
               ShardBuffers& buffers, bool keep, const ComputeStep& compute, PassReport& report) {
  using Clock = std::chrono::steady_clock;
  const auto exposed_since = [&](Clock::time_point start) {
    report.exposed_seconds += std::chrono::duration<double>(Clock::now() - start).count();
  };
  const auto rank = static_cast<std::size_t>(communicator.rank());
  const auto packed = Clock::now();
  node.meet({});
  exposed_since(packed);
  for (std::size_t at = 0; at < plan.steps.size(); ++at) {
    const auto& [reads, hop] = plan.steps[at].ranks[rank];
    std::optional<comm::Send> send;
    std::optional<comm::Receive> receive;
    if (hop.to >= 0) send = {hop.to, buffers.packed(hop.send_owner)};
    if (hop.from >= 0) receive = {hop.from, buffers.arrival(hop.receive_owner)};
    std::unique_ptr<comm::Exchange> exchange;
    if (send || receive) exchange = communicator.exchange(send, receive);
    if (send) report.bytes_sent += static_cast<Index>(send->data.size());
    const kernels::Poll poll = [&] {
      if (exchange) exchange->poll();
    };

    if (compute) {
      for (const auto& read : reads) compute(read, at, poll);
    }

    const auto computed = Clock::now();
    if (exchange) exchange->wait();
    // Peers read what is held here, and will read what has arrived. After the last step they do
    // nothing with it that the next pass would not wait for.
    if (at + 1 < plan.steps.size()) node.meet({});
    exchange.reset();
    exposed_since(computed);
    // What is sent on in this hop comes back the same way.
    const bool comes_back = hop.to >= 0 && hop.send_owner == buffers.current_owner();
    if (receive) buffers.arrived(hop.receive_owner, keep && !comes_back);
  }
}

}  // namespace annulus::ring
