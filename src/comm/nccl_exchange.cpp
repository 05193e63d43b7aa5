#include "comm/nccl_exchange.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <iterator>
#include <thread>
#include <utility>
#include <vector>

#include "annulus/base/error.hpp"
#include "annulus/device/buffer.hpp"
#include "comm/arguments.hpp"
#include "comm/messages_to_itself.hpp"

namespace annulus::comm {

using device::Buffer;
using device::RowCopy;

namespace {

std::vector<Send> to_others(int rank, std::span<const Send> sends) {
  std::vector<Send> others;
  std::ranges::copy_if(sends, std::back_inserter(others),
                       [&](const Send& send) { return send.to != rank; });
  return others;
}

std::vector<Receive> from_others(int rank, std::span<const Receive> receives) {
  std::vector<Receive> others;
  std::ranges::copy_if(receives, std::back_inserter(others),
                       [&](const Receive& receive) { return receive.from != rank; });
  return others;
}

/// A message to itself is a copy.
void enqueue_messages(NcclHandle& handle, std::span<const Send> sends,
                      std::span<const Receive> receives) {
  const int rank = handle.rank();
  for_each_to_itself(rank, sends, receives, [&](const Send& send, const Receive& receive) {
    handle.stream()->copy(
        RowCopy::of_bytes(receive.data.data(), send.data.data(), send.data.size()));
  });
  handle.pass(to_others(rank, sends), from_others(rank, receives));
}

}  // namespace

NcclExchange::NcclExchange(std::shared_ptr<NcclHandle> handle, device::Stream& stream,
                           std::span<const Send> sends, std::span<const Receive> receives)
    : handle_(std::move(handle)), stream_(stream) {
  handle_->settle();
  // Also for what arrives: the work before still uses the memory where it goes.
  handle_->stream()->wait(*stream_.record());
  operation_ =
      handle_->start("an exchange of nccl", [&] { enqueue_messages(*handle_, sends, receives); });
}

NcclExchange::~NcclExchange() {
  if (finished_) return;
  // NCCL takes no message back.
  if (std::uncaught_exceptions() > exceptions_) {
    handle_->give_up();
    return;
  }
  try {
    wait();
  } catch (const Error&) {
    // Whoever calls the communicator next learns of it.
  }
}

bool NcclExchange::poll() {
  finished_ = finished_ || handle_->done(*operation_);
  return finished_;
}

void NcclExchange::wait() {
  if (finished_) return;
  while (!handle_->enqueued(*operation_)) std::this_thread::yield();
  stream_.wait(*operation_->done);
  finished_ = true;
}

namespace {

/// Both ends of each message tell each other what they take for its length.
void check_lengths(NcclHandle& handle, std::span<const Send> sends,
                   std::span<const Receive> receives) {
  const int rank = handle.rank();
  // By message, those that are sent before those that are received; first what this rank says.
  std::vector<std::uint64_t> lengths;
  for (const auto& send : sends) lengths.push_back(send.data.size());
  for (const auto& receive : receives) lengths.push_back(receive.data.size());
  const std::size_t messages = lengths.size();
  if (messages == 0) return;
  lengths.resize(2 * messages);
  const std::size_t bytes = lengths.size() * sizeof(std::uint64_t);
  const Buffer there(handle.stream(), bytes);
  handle.stream()->upload(RowCopy::of_bytes(there.data(), lengths.data(), bytes));
  const auto mine = [&](std::size_t message) {
    return there.bytes().subspan(message * sizeof(std::uint64_t), sizeof(std::uint64_t));
  };
  const auto theirs = [&](std::size_t message) { return mine(messages + message); };

  // Two ranks that send to each other both begin with what they send.
  std::vector<Send> said;
  std::vector<Receive> heard;
  for (std::size_t i = 0; i < sends.size(); ++i) said.push_back({sends[i].to, mine(i)});
  for (std::size_t i = 0; i < receives.size(); ++i) {
    said.push_back({receives[i].from, mine(sends.size() + i)});
    heard.push_back({receives[i].from, theirs(sends.size() + i)});
  }
  for (std::size_t i = 0; i < sends.size(); ++i) heard.push_back({sends[i].to, theirs(i)});
  handle.run("an exchange of nccl", [&] { handle.pass(said, heard); });

  handle.stream()->download(RowCopy::of_bytes(lengths.data(), there.data(), bytes));
  for (std::size_t i = 0; i < receives.size(); ++i) {
    const std::size_t message = sends.size() + i;
    check_length(rank, receives[i].from, lengths[messages + message], lengths[message]);
  }
  for (std::size_t i = 0; i < sends.size(); ++i) {
    check_length(sends[i].to, rank, lengths[i], lengths[messages + i]);
  }
}

}  // namespace

void exchange_on_hosts(NcclHandle& handle, std::span<const Send> sends,
                       std::span<const Receive> receives) {
  handle.drain();
  const auto& stream = handle.stream();
  check_lengths(handle, to_others(handle.rank(), sends), from_others(handle.rank(), receives));
  std::deque<Buffer> buffers;
  std::vector<Send> leaving;
  std::vector<Receive> arriving;
  for (const auto& [to, data] : sends) {
    const auto& there = buffers.emplace_back(stream, data.size());
    stream->upload(RowCopy::of_bytes(there.data(), data.data(), data.size()));
    leaving.push_back({to, there.bytes()});
  }
  for (const auto& [from, data] : receives) {
    arriving.push_back({from, buffers.emplace_back(stream, data.size()).bytes()});
  }
  handle.run("an exchange of nccl", [&] { enqueue_messages(handle, leaving, arriving); });
  for (std::size_t i = 0; i < receives.size(); ++i) {
    const auto to = receives[i].data;
    stream->download(RowCopy::of_bytes(to.data(), arriving[i].data.data(), to.size()));
  }
}

}  // namespace annulus::comm
