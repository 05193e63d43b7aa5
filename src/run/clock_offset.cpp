#include "run/clock_offset.hpp"

#include <chrono>
#include <limits>

#include "run/messages.hpp"

namespace annulus::run {
namespace {

constexpr int round_trips = 16;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// On rank 0: how far the clock of `peer` is ahead, which it is told.
void ask(comm::Communicator& communicator, int peer) {
  double quickest = std::numeric_limits<double>::infinity();
  double ahead = 0;
  for (int trip = 0; trip < round_trips; ++trip) {
    const double begin = now();
    send_value(communicator, peer, begin);
    const auto there = receive_value<double>(communicator, peer);
    const double end = now();
    if (end - begin >= quickest) continue;
    quickest = end - begin;
    ahead = there - (begin + end) / 2;
  }
  send_value(communicator, peer, ahead);
}

/// The other side of it.
double answer(comm::Communicator& communicator) {
  for (int trip = 0; trip < round_trips; ++trip) {
    (void)receive_value<double>(communicator, 0);
    send_value(communicator, 0, now());
  }
  return receive_value<double>(communicator, 0);
}

}  // namespace

double clock_offset(comm::Communicator& communicator) {
  const auto& topology = communicator.topology();
  const int rank = communicator.rank();
  if (rank > 0) return same_node(topology, 0, rank) ? 0 : answer(communicator);
  for (int peer = 1; peer < topology.ranks; ++peer) {
    if (!same_node(topology, 0, peer)) ask(communicator, peer);
  }
  return 0;
}

}  // namespace annulus::run
