#include "comm/staged_exchange.hpp"

#include <thread>

#include "annulus/base/error.hpp"
#include "comm/arguments.hpp"

namespace annulus::comm {

using device::RowCopy;

StagedExchange::Staging::Staging(device::Stream& stream, std::size_t bytes)
    : stream_(stream), bytes_(bytes == 0 ? nullptr : stream.allocate_pinned(bytes), bytes) {}

StagedExchange::Staging::~Staging() {
  if (!bytes_.empty()) stream_.free_pinned(bytes_.data());
}

StagedExchange::StagedExchange(Communicator& communicator, device::Stream& stream,
                               std::optional<Send> send, std::optional<Receive> receive)
    : communicator_(communicator),
      stream_(stream),
      transfers_(stream.transfers()),
      send_(send),
      receive_(receive) {
  check_exchange(communicator, send, receive);
  // Also for what arrives: the work before still uses the memory where it goes.
  transfers_.wait(*stream_.record());
  if (send_) {
    const auto size = send_->data.size();
    leaving_.emplace(transfers_, size);
    transfers_.copy(RowCopy::of_bytes(leaving_->bytes().data(), send_->data.data(), size));
    send_->data = leaving_->bytes();
  }
  if (receive_) arriving_.emplace(transfers_, receive_->data.size());
  staged_ = transfers_.record();
}

StagedExchange::~StagedExchange() {
  // A rank that is throwing does not wait for its peers; exchange_ knows that too.
  if (std::uncaught_exceptions() > exceptions_) return;
  try {
    wait();
  } catch (const Error&) {
    // Whoever calls the communicator next learns of it.
  }
}

bool StagedExchange::poll() {
  if (done_) return true;
  if (!exchange_) {
    if (send_ && !staged_->reached()) return false;
    auto receive = receive_;
    if (receive) receive->data = arriving_->bytes();
    exchange_ = communicator_.exchange(send_, receive);
  }
  if (!exchange_->poll()) return false;
  if (receive_) {
    transfers_.copy(
        RowCopy::of_bytes(receive_->data.data(), arriving_->bytes().data(), receive_->data.size()));
    stream_.wait(*transfers_.record());
  }
  done_ = true;
  return true;
}

void StagedExchange::wait() {
  while (!poll()) std::this_thread::yield();
}

}  // namespace annulus::comm
