#include "comm/arguments.hpp"

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus::comm {
namespace {

void check_rank(const Communicator& communicator, int peer, const char* role,
                std::source_location location) {
  if (peer >= 0 && peer < communicator.size()) return;
  throw Error(
      fmt::format("{}: rank {} names rank {} {}, but there are ranks 0 to {}", communicator.name(),
                  communicator.rank(), peer, role, communicator.size() - 1),
      location);
}

}  // namespace

void check_exchange(const Communicator& communicator, const std::optional<Send>& send,
                    const std::optional<Receive>& receive, std::source_location location) {
  if (send) check_rank(communicator, send->to, "to send to", location);
  if (receive) check_rank(communicator, receive->from, "to receive from", location);
  const int rank = communicator.rank();
  const bool to_itself = send && send->to == rank;
  const bool from_itself = receive && receive->from == rank;
  if (to_itself != from_itself) {
    throw Error(fmt::format("{}: rank {} {} itself, but not the other way round",
                            communicator.name(), rank, to_itself ? "sends to" : "receives from"),
                location);
  }
  if (to_itself) check_length(rank, rank, send->data.size(), receive->data.size(), location);
}

void check_root(const Communicator& communicator, int root, std::source_location location) {
  check_rank(communicator, root, "as root", location);
}

void check_first(const Communicator& communicator, int ranks, std::source_location location) {
  if (ranks >= 1 && ranks <= communicator.size()) return;
  throw Error(fmt::format("{}: the first {} ranks of {} are asked for; expected 1 to {}",
                          communicator.name(), ranks, communicator.size(), communicator.size()),
              location);
}

void check_length(int rank, int from, std::size_t received, std::size_t expected,
                  std::source_location location) {
  if (received == expected) return;
  throw Error(fmt::format("rank {} expects {} bytes from rank {}, which sends {}", rank, expected,
                          from, received),
              location);
}

}  // namespace annulus::comm
