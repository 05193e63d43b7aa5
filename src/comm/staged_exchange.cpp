#include "comm/staged_exchange.hpp"

#include <utility>

#include "annulus/base/error.hpp"

namespace annulus::comm {

using device::RowCopy;

StagedExchange::Staging::Staging(device::Stream& transfers, std::size_t bytes)
    : transfers_(transfers),
      bytes_(bytes == 0 ? nullptr : transfers.allocate_pinned(bytes), bytes) {}

StagedExchange::Staging::~Staging() {
  if (!bytes_.empty()) transfers_.free_pinned(bytes_.data());
}

StagedExchange::StagedExchange(ExchangeQueue& hosts, device::Stream& stream,
                               std::span<const Send> sends, std::span<const Receive> receives)
    : stream_(stream), transfers_(stream.transfers()), receives_(receives.begin(), receives.end()) {
  // First, for they may throw, and then nothing may be under way.
  for (const auto& send : sends) leaving_.emplace_back(transfers_, send.data.size());
  for (const auto& receive : receives) arriving_.emplace_back(transfers_, receive.data.size());

  auto ready = copy_to_host(sends);
  std::vector<Send> host_sends;
  std::vector<Receive> host_receives;
  for (std::size_t i = 0; i < sends.size(); ++i) {
    host_sends.push_back({sends[i].to, leaving_[i].bytes()});
  }
  for (std::size_t i = 0; i < receives.size(); ++i) {
    host_receives.push_back({receives[i].from, arriving_[i].bytes()});
  }
  exchange_ = hosts.add(std::move(ready), host_sends, host_receives);
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

std::shared_ptr<const device::Event> StagedExchange::copy_to_host(std::span<const Send> sends) {
  // Also for what arrives: the work before still uses the memory where it goes.
  transfers_.wait(*stream_.record());
  if (sends.empty()) return nullptr;
  for (std::size_t i = 0; i < sends.size(); ++i) {
    const auto from = sends[i].data;
    transfers_.copy(RowCopy::of_bytes(leaving_[i].bytes().data(), from.data(), from.size()));
  }
  return transfers_.record();
}

void StagedExchange::finish() {
  exchange_.reset();
  if (receives_.empty()) return;
  for (std::size_t i = 0; i < receives_.size(); ++i) {
    const auto to = receives_[i].data;
    transfers_.copy(RowCopy::of_bytes(to.data(), arriving_[i].bytes().data(), to.size()));
  }
  stream_.wait(*transfers_.record());
}

}  // namespace annulus::comm
