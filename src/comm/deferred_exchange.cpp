#include "comm/deferred_exchange.hpp"

#include <thread>
#include <utility>

#include "annulus/base/error.hpp"

namespace annulus::comm {

DeferredExchange::DeferredExchange(Communicator& communicator,
                                   std::shared_ptr<const device::Event> event,
                                   std::optional<Send> send, std::optional<Receive> receive)
    : communicator_(communicator), event_(std::move(event)), send_(send), receive_(receive) {
  start();
}

DeferredExchange::~DeferredExchange() {
  // A rank that is throwing does not wait for its peers; an exchange that has started knows that.
  if (std::uncaught_exceptions() > exceptions_) return;
  try {
    wait();
  } catch (const Error&) {
    // The transport or the device has failed: whoever calls them next learns of it.
  }
}

bool DeferredExchange::poll() {
  return start() && exchange_->poll();
}

void DeferredExchange::wait() {
  while (!start()) std::this_thread::yield();
  exchange_->wait();
}

bool DeferredExchange::start() {
  if (exchange_) return true;
  if (event_ && !event_->reached()) return false;
  exchange_ = communicator_.exchange(send_, receive_);
  return true;
}

}  // namespace annulus::comm
