#pragma once
// Exchanges that wait for a device before they start.

#include <deque>
#include <functional>
#include <memory>
#include <span>

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

class QueuedExchange;

/// Transports of the host know no streams: the host starts an exchange once it sees that the device
/// has come to an event. But peers tell messages apart by their order alone, so exchanges start in
/// the order in which they were asked for, and one that could start waits for those before it.
class ExchangeQueue {
 public:
  /// What starts an exchange of a transport.
  using Start =
      std::function<std::unique_ptr<Exchange>(std::span<const Send>, std::span<const Receive>)>;

  explicit ExchangeQueue(Start start) : start_(std::move(start)) {}

  /// An exchange that starts after `ready`, if there is such, and at once if it may. Where `Start`
  /// or the event throws, the exchange does. Does not outlive the queue.
  [[nodiscard]] std::unique_ptr<Exchange> add(std::shared_ptr<const device::Event> ready,
                                              std::span<const Send> sends,
                                              std::span<const Receive> receives);

 private:
  friend class QueuedExchange;

  /// Starts what may start by now.
  void advance();

  Start start_;
  std::deque<QueuedExchange*> waiting_;  // in their order
};

}  // namespace annulus::comm
