#pragma once
// What one rank does in one step of a plan.

#include <vector>

namespace annulus {

/// Keys that meet the local queries: the shard of `owner`, which `holder` holds, the rank itself or
/// another one of its node.
struct Read {
  int owner = -1;
  int holder = -1;
};

/// What a rank sends and receives: the shard of `send_owner` goes on to rank `to`, that of
/// `receive_owner` comes from rank `from`; -1 where there is nothing to send or receive.
struct Hop {
  int send_owner = -1;
  int to = -1;
  int receive_owner = -1;
  int from = -1;
  /// Whether a backward pass undoes the hop of the shard that is sent, and of the one received. A
  /// shard does not come back where it is its sender's own, nor where nothing has taken its place,
  /// so that the sender still has it at the end.
  bool send_returns = false;
  bool receive_returns = false;
};

/// First the hop is started, then the rank computes with what it reads, in this order, then the hop
/// is finished. What is received in a step is what the rank holds in the next one.
struct Step {
  std::vector<Read> reads;
  Hop hop;
};

/// What one rank does, step by step; all ranks have as many steps.
using Program = std::vector<Step>;

}  // namespace annulus
