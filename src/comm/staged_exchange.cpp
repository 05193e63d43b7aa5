#include "comm/staged_exchange.hpp"

#include "annulus/base/error.hpp"
#include "comm/arguments.hpp"

namespace annulus::comm {

using device::RowCopy;

StagedExchange::Staging::Staging(device::Stream& transfers, std::size_t bytes)
    : transfers_(transfers),
      bytes_(bytes == 0 ? nullptr : transfers.allocate_pinned(bytes), bytes) {}

StagedExchange::Staging::~Staging() {
  if (!bytes_.empty()) transfers_.free_pinned(bytes_.data());
}

StagedExchange::StagedExchange(Communicator& communicator, device::Stream& stream,
                               std::optional<Send> send, std::optional<Receive> receive)
    : stream_(stream), transfers_(stream.transfers()), receive_(receive) {
  check_exchange(communicator, send, receive);
  // First, for they may throw, and then nothing may be under way.
  if (send) leaving_.emplace(transfers_, send->data.size());
  if (receive) arriving_.emplace(transfers_, receive->data.size());

  const auto ready = copy_to_host(send);
  if (send) send->data = leaving_->bytes();
  if (receive) receive->data = arriving_->bytes();
  exchange_.emplace(communicator, ready, send, receive);
}

StagedExchange::~StagedExchange() {
  if (!exchange_) return;
  try {
    // A rank that is throwing does not wait for its peers; exchange_ knows that too.
    if (std::uncaught_exceptions() <= exceptions_) wait();
  } catch (const Error&) {
    // The transport or the device has failed: whoever calls them next learns of it.
  }
  if (!exchange_) return;
  try {
    // The copy to pinned memory may still be to come, when the owner of what it reads frees that.
    stream_.wait(*transfers_.record());
  } catch (const Error&) {
    // The device has failed, and copies nothing more.
  }
}

bool StagedExchange::poll() {
  if (!exchange_) return true;
  if (!exchange_->poll()) return false;
  finish();
  return true;
}

void StagedExchange::wait() {
  if (!exchange_) return;
  exchange_->wait();
  finish();
}

std::shared_ptr<const device::Event> StagedExchange::copy_to_host(const std::optional<Send>& send) {
  // Also for what arrives: the work before still uses the memory where it goes.
  transfers_.wait(*stream_.record());
  if (!send) return nullptr;
  transfers_.copy(
      RowCopy::of_bytes(leaving_->bytes().data(), send->data.data(), send->data.size()));
  return transfers_.record();
}

void StagedExchange::finish() {
  exchange_.reset();
  if (!receive_) return;
  transfers_.copy(
      RowCopy::of_bytes(receive_->data.data(), arriving_->bytes().data(), receive_->data.size()));
  stream_.wait(*transfers_.record());
}

}  // namespace annulus::comm
