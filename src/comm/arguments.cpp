#include "comm/arguments.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "annulus/comm/error.hpp"
#include "comm/messages_to_itself.hpp"

namespace annulus::comm {
namespace {

void check_rank(const Communicator& communicator, int peer, const char* role,
                std::source_location location) {
  if (peer >= 0 && peer < communicator.size()) return;
  throw CommunicationError(
      fmt::format("{}: rank {} names rank {} {}, but there are ranks 0 to {}", communicator.name(),
                  communicator.rank(), peer, role, communicator.size() - 1),
      location);
}

}  // namespace

void check_exchange(const Communicator& communicator, std::span<const Send> sends,
                    std::span<const Receive> receives, std::source_location location) {
  const int rank = communicator.rank();
  for (const auto& send : sends) check_rank(communicator, send.to, "to send to", location);
  for (const auto& receive : receives) {
    check_rank(communicator, receive.from, "to receive from", location);
  }
  const auto to_itself = std::ranges::count(sends, rank, &Send::to);
  const auto from_itself = std::ranges::count(receives, rank, &Receive::from);
  if (to_itself != from_itself) {
    throw CommunicationError(
        fmt::format("{}: rank {} {} itself, but not the other way round", communicator.name(), rank,
                    to_itself > from_itself ? "sends to" : "receives from"),
        location);
  }
  for_each_to_itself(rank, sends, receives, [&](const Send& send, const Receive& receive) {
    check_length(rank, rank, send.data.size(), receive.data.size(), location);
  });
}

void check_root(const Communicator& communicator, int root, std::source_location location) {
  check_rank(communicator, root, "as root", location);
}

void check_first(const Communicator& communicator, int ranks, std::source_location location) {
  if (ranks >= 1 && ranks <= communicator.size()) return;
  throw CommunicationError(
      fmt::format("{}: the first {} ranks of {} are asked for; expected 1 to {}",
                  communicator.name(), ranks, communicator.size(), communicator.size()),
      location);
}

void check_length(int rank, int from, std::size_t received, std::size_t expected,
                  std::source_location location) {
  if (received == expected) return;
  throw CommunicationError(fmt::format("rank {} expects {} bytes from rank {}, which sends {}",
                                       rank, expected, from, received),
                           location);
}

}  // namespace annulus::comm
