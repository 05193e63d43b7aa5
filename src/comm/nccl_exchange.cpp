#include "comm/nccl_exchange.hpp"

#include <array>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include "annulus/base/error.hpp"
#include "annulus/device/buffer.hpp"
#include "comm/arguments.hpp"

namespace annulus::comm {

using device::Buffer;
using device::RowCopy;

namespace {

std::vector<Send> list_of(const std::optional<Send>& send) {
  return send ? std::vector{*send} : std::vector<Send>{};
}

std::vector<Receive> list_of(const std::optional<Receive>& receive) {
  return receive ? std::vector{*receive} : std::vector<Receive>{};
}

/// A message to itself is a copy.
void enqueue_messages(NcclHandle& handle, const std::optional<Send>& send,
                      const std::optional<Receive>& receive) {
  if (send && send->to == handle.rank()) {
    handle.stream()->copy(
        RowCopy::of_bytes(receive->data.data(), send->data.data(), send->data.size()));
  } else {
    handle.pass(list_of(send), list_of(receive));
  }
}

}  // namespace

NcclExchange::NcclExchange(std::shared_ptr<NcclHandle> handle, device::Stream& stream,
                           std::optional<Send> send, std::optional<Receive> receive)
    : handle_(std::move(handle)), stream_(stream) {
  handle_->settle();
  // Also for what arrives: the work before still uses the memory where it goes.
  handle_->stream()->wait(*stream_.record());
  operation_ =
      handle_->start("an exchange of nccl", [&] { enqueue_messages(*handle_, send, receive); });
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

/// Places in the memory for lengths.
constexpr std::size_t mine_sent = 0;
constexpr std::size_t mine_expected = 1;
constexpr std::size_t theirs_sent = 2;
constexpr std::size_t theirs_expected = 3;

void check_lengths(NcclHandle& handle, const std::optional<Send>& send,
                   const std::optional<Receive>& receive) {
  std::array<std::uint64_t, 4> lengths{};
  if (send) lengths[mine_sent] = send->data.size();
  if (receive) lengths[mine_expected] = receive->data.size();
  const Buffer there(handle.stream(), sizeof lengths);
  handle.stream()->upload(RowCopy::of_bytes(there.data(), lengths.data(), sizeof lengths));
  const auto place = [&](std::size_t index) {
    return there.bytes().subspan(index * sizeof lengths[0], sizeof lengths[0]);
  };
  // Two ranks that send to each other both begin with what they send.
  std::vector<Send> sends;
  std::vector<Receive> receives;
  if (send) sends.push_back({send->to, place(mine_sent)});
  if (receive) sends.push_back({receive->from, place(mine_expected)});
  if (receive) receives.push_back({receive->from, place(theirs_sent)});
  if (send) receives.push_back({send->to, place(theirs_expected)});
  handle.run("an exchange of nccl", [&] { handle.pass(sends, receives); });
  handle.stream()->download(RowCopy::of_bytes(lengths.data(), there.data(), sizeof lengths));
  const int rank = handle.rank();
  if (receive) check_length(rank, receive->from, lengths[theirs_sent], lengths[mine_expected]);
  if (send) check_length(send->to, rank, lengths[mine_sent], lengths[theirs_expected]);
}

}  // namespace

void exchange_on_hosts(NcclHandle& handle, std::optional<Send> send,
                       std::optional<Receive> receive) {
  handle.drain();
  const bool to_itself = send && send->to == handle.rank();
  if (!to_itself) check_lengths(handle, send, receive);
  const Buffer leaving(handle.stream(), send ? send->data.size() : 0);
  const Buffer arriving(handle.stream(), receive ? receive->data.size() : 0);
  if (!leaving.empty()) {
    handle.stream()->upload(RowCopy::of_bytes(leaving.data(), send->data.data(), leaving.size()));
  }
  auto* const place = receive ? receive->data.data() : nullptr;
  if (send) send->data = leaving.bytes();
  if (receive) receive->data = arriving.bytes();
  handle.run("an exchange of nccl", [&] { enqueue_messages(handle, send, receive); });
  if (!arriving.empty()) {
    handle.stream()->download(RowCopy::of_bytes(place, arriving.data(), arriving.size()));
  }
}

}  // namespace annulus::comm
