#pragma once
// Exchanges between devices through pinned memory of the host, over any transport.

#include "comm/arguments.hpp"
#include "comm/exchange_queue.hpp"
#include "comm/forwarding_communicator.hpp"
#include "comm/staged_exchange.hpp"
#include "support/world.hpp"

namespace annulus::comm {

/// As a transport does it that knows no other way.
class StagedCommunicator final : public ForwardingCommunicator {
 public:
  explicit StagedCommunicator(Communicator& world)
      : ForwardingCommunicator(world), exchanges_([&world](auto sends, auto receives) {
          return world.exchange(sends, receives);
        }) {}

  using Communicator::exchange;
  using Communicator::exchange_on;
  [[nodiscard]] std::unique_ptr<Exchange> exchange(std::span<const Send> sends,
                                                   std::span<const Receive> receives) override {
    return exchanges_.add(nullptr, sends, receives);
  }
  [[nodiscard]] std::unique_ptr<Exchange> exchange_on(device::Stream& stream,
                                                      std::span<const Send> sends,
                                                      std::span<const Receive> receives) override {
    if (stream.device().kind == DeviceKind::cpu) return exchange(sends, receives);
    check_exchange(*this, sends, receives);
    return std::make_unique<StagedExchange>(exchanges_, stream, sends, receives);
  }

 private:
  ExchangeQueue exchanges_;
};

/// The same ranks, whose devices exchange like that.
inline std::vector<World> staged(const std::vector<World>& worlds) {
  std::vector<World> all;
  for (const auto& world : worlds) {
    all.push_back({world.name, [world](const World::Body& body) {
                     world.run([&](Communicator& communicator) {
                       StagedCommunicator through_hosts(communicator);
                       body(through_hosts);
                     });
                   }});
  }
  return all;
}

}  // namespace annulus::comm
