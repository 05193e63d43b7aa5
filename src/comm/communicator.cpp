#include "annulus/comm/communicator.hpp"

#include "comm/staged_exchange.hpp"

namespace annulus::comm {

std::unique_ptr<Exchange> Communicator::exchange_on(device::Stream& stream,
                                                    std::optional<Send> send,
                                                    std::optional<Receive> receive) {
  if (stream.device().kind == DeviceKind::cpu) return exchange(send, receive);
  return std::make_unique<StagedExchange>(*this, stream, send, receive);
}

}  // namespace annulus::comm
