#pragma once
// An exchange that waits for a device before it starts.

#include <exception>
#include <memory>
#include <optional>

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

/// Transports of the host know no streams: the host starts the exchange once it sees that the
/// device has come to an event, at once if it has by now, and else in poll() or wait().
class DeferredExchange final : public Exchange {
 public:
  /// Borrows `communicator`. Without `event`, it starts at once.
  DeferredExchange(Communicator& communicator, std::shared_ptr<const device::Event> event,
                   std::optional<Send> send, std::optional<Receive> receive);
  DeferredExchange(const DeferredExchange&) = delete;
  DeferredExchange& operator=(const DeferredExchange&) = delete;
  ~DeferredExchange() override;

  bool poll() override;
  void wait() override;

 private:
  /// Starts the exchange if it may start by now; whether it has.
  bool start();

  Communicator& communicator_;
  std::shared_ptr<const device::Event> event_;
  std::optional<Send> send_;
  std::optional<Receive> receive_;
  std::unique_ptr<Exchange> exchange_;  // once it has started
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace annulus::comm
