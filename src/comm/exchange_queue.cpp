#include "comm/exchange_queue.hpp"

#include <exception>
#include <thread>
#include <utility>
#include <vector>

namespace annulus::comm {

class QueuedExchange final : public Exchange {
 public:
  QueuedExchange(ExchangeQueue& queue, std::shared_ptr<const device::Event> ready,
                 std::span<const Send> sends, std::span<const Receive> receives)
      : queue_(queue),
        ready_(std::move(ready)),
        sends_(sends.begin(), sends.end()),
        receives_(receives.begin(), receives.end()) {}
  QueuedExchange(const QueuedExchange&) = delete;
  QueuedExchange& operator=(const QueuedExchange&) = delete;

  ~QueuedExchange() override {
    // A rank that is throwing does not wait for its peers; an exchange that has started knows that.
    if (std::uncaught_exceptions() <= exceptions_) {
      try {
        wait();
      } catch (const std::exception&) {
        // The transport or the device has failed: whoever calls them next learns of it.
      }
    }
    std::erase(queue_.waiting_, this);
  }

  /// Starts if it may by now, or fails; false where it may not yet.
  bool start() {
    try {
      if (ready_ && !ready_->reached()) return false;
      exchange_ = queue_.start_(sends_, receives_);
    } catch (...) {
      failure_ = std::current_exception();
    }
    return true;
  }

  bool poll() override {
    queue_.advance();
    if (failure_) std::rethrow_exception(failure_);
    return exchange_ && exchange_->poll();
  }

  void wait() override {
    while (!poll()) {
      // Nothing is left that this host would have to start meanwhile, so it may sleep.
      if (queue_.waiting_.empty()) return exchange_->wait();
      std::this_thread::yield();
    }
  }

 private:
  ExchangeQueue& queue_;
  std::shared_ptr<const device::Event> ready_;
  std::vector<Send> sends_;
  std::vector<Receive> receives_;
  std::unique_ptr<Exchange> exchange_;  // once it has started
  std::exception_ptr failure_;
  int exceptions_ = std::uncaught_exceptions();
};

std::unique_ptr<Exchange> ExchangeQueue::add(std::shared_ptr<const device::Event> ready,
                                             std::span<const Send> sends,
                                             std::span<const Receive> receives) {
  auto exchange = std::make_unique<QueuedExchange>(*this, std::move(ready), sends, receives);
  waiting_.push_back(exchange.get());
  advance();
  return exchange;
}

void ExchangeQueue::advance() {
  while (!waiting_.empty() && waiting_.front()->start()) waiting_.pop_front();
}

}  // namespace annulus::comm
