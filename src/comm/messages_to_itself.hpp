#pragma once
// What a rank sends to itself.

#include <algorithm>
#include <span>

#include "annulus/comm/communicator.hpp"

namespace annulus::comm {

/// Calls `visit(send, receive)` for each message that `rank` sends to itself, in their order: the
/// n-th of `sends` that goes there, and the n-th of `receives` that comes from there. There are as
/// many of both.
template <class Visit>
void for_each_to_itself(int rank, std::span<const Send> sends, std::span<const Receive> receives,
                        const Visit& visit) {
  auto receive = receives.begin();
  for (const auto& send : sends) {
    if (send.to != rank) continue;
    receive = std::find_if(receive, receives.end(),
                           [&](const Receive& candidate) { return candidate.from == rank; });
    visit(send, *receive++);
  }
}

}  // namespace annulus::comm
