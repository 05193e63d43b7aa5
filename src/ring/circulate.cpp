#include "ring/circulate.hpp"

#include <memory>
#include <optional>

namespace annulus::ring {

void circulate(const Plan& plan, comm::Communicator& communicator, SharedNode& node,
               ShardBuffers& buffers, bool keep, const ComputeStep& compute, PassMeter& meter) {
  const auto& program = plan.program(communicator.rank());
  meter.waiting([&] { node.meet(); });
  for (std::size_t at = 0; at < program.size(); ++at) {
    const auto& [reads, hop] = program[at];
    std::optional<comm::Send> send;
    std::optional<comm::Receive> receive;
    if (hop.to >= 0) send = {hop.to, buffers.packed(hop.send_owner)};
    if (hop.from >= 0) receive = {hop.from, buffers.arrival(hop.receive_owner)};
    std::unique_ptr<comm::Exchange> exchange;
    if (send || receive) exchange = communicator.exchange_on(meter.stream(), send, receive);
    if (send) meter.sends(send->data.size());
    const kernels::Poll poll = [&] {
      if (exchange) exchange->poll();
    };

    if (compute) {
      for (const auto& read : reads) compute(read, at, poll);
    }

    meter.waiting([&] {
      if (exchange) exchange->wait();
      // Peers read what is held here, and will read what has arrived. After the last step they do
      // nothing with it that the next pass would not wait for.
      if (at + 1 < program.size()) node.meet();
      exchange.reset();
    });
    // What is sent on in this hop, and comes back the same way, need not be kept.
    if (receive) buffers.arrived(hop.receive_owner, keep && !hop.send_returns);
  }
}

}  // namespace annulus::ring
