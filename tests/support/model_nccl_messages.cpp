#include "support/model_nccl_messages.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace annulus::test {

using Kind = NcclCall::Kind;

void NcclMessages::connect(int rank, const NcclCall& call) {
  if (call.kind == Kind::send) channels_[{rank, call.peer}].sender_connects = true;
  if (call.kind == Kind::receive) channels_[{call.peer, rank}].receiver_connects = true;
  if (call.is_collective()) connected_.insert(rank);
}

bool NcclMessages::connected(int rank, const NcclCall& call) const {
  if (call.is_collective()) return static_cast<int>(connected_.size()) == ranks_;
  const bool sends = call.kind == Kind::send;
  const auto& channel =
      channels_.at(sends ? std::pair(rank, call.peer) : std::pair(call.peer, rank));
  return sends ? channel.receiver_connects : channel.sender_connects;
}

std::string NcclMessages::advance(int rank, const NcclCallPointer& call) {
  if (!call->posted) post(rank, call);
  if (call->done) return {};
  if (call->is_collective()) return pass_to_all(rank, *call);
  return call->kind == Kind::receive ? pass(call->peer, rank) : std::string();
}

void NcclMessages::drop(const NcclCallPointer& call) {
  for (auto& [ends, channel] : channels_) {
    std::erase(channel.sends, call);
    std::erase(channel.receives, call);
  }
  for (auto& [number, calls] : collectives_) {
    std::erase_if(calls, [&](const auto& entry) { return entry.second == call; });
  }
}

void NcclMessages::post(int rank, const NcclCallPointer& call) {
  call->posted = true;
  if (call->kind == Kind::send) channels_[{rank, call->peer}].sends.push_back(call);
  if (call->kind == Kind::receive) channels_[{call->peer, rank}].receives.push_back(call);
  if (call->is_collective()) collectives_[call->number].emplace(rank, call);
}

std::string NcclMessages::pass(int from, int to) {
  auto& channel = channels_[{from, to}];
  if (channel.sends.empty() || channel.receives.empty()) return {};
  const auto send = channel.sends.front();
  const auto receive = channel.receives.front();
  channel.sends.pop_front();
  channel.receives.pop_front();
  if (send->bytes != receive->bytes) {
    return fmt::format("rank {} sends {} bytes, of which rank {} expects {}", from, send->bytes, to,
                       receive->bytes);
  }
  std::memcpy(receive->to, send->from, send->bytes);
  send->done = receive->done = true;
  return {};
}

std::string NcclMessages::pass_to_all(int rank, NcclCall& call) {
  const auto& calls = collectives_[call.number];
  if (static_cast<int>(calls.size()) < ranks_) return {};
  if (!call.copied) {
    for (const auto& [from, theirs] : calls) {
      if (theirs->kind != call.kind || theirs->bytes != call.bytes || theirs->peer != call.peer) {
        return fmt::format("ranks {} and {} differ in a collective", rank, from);
      }
      if (call.kind == Kind::gather) {
        std::memcpy(call.to + static_cast<std::size_t>(from) * call.bytes, theirs->from,
                    call.bytes);
      } else if (from == call.peer && from != rank) {
        std::memcpy(call.to, theirs->from, call.bytes);
      }
    }
    call.copied = true;
  }
  // Nobody's memory is free before all have read it.
  call.done = std::ranges::all_of(calls, [](const auto& entry) { return entry.second->copied; });
  return {};
}

}  // namespace annulus::test
