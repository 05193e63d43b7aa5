#include "annulus/plan/memory.hpp"

#include <algorithm>

#include "annulus/attention/partial_state.hpp"
#include "annulus/plan/node_memory.hpp"

namespace annulus {
namespace {

/// What the program of a rank needs room for.
struct Room {
  bool sends_own = false;
  Index kept = 0;      ///< bytes of shards that are put aside for the backward pass
  Index received = 0;  ///< bytes of the largest shard that is received
  Index receives = 0;  ///< shards that are received
  Index sent_on = 0;   ///< rows of the largest shard whose gradients come back
  Index rows = 0;      ///< rows of the largest shard that is received
  Index read = 0;      ///< rows of the largest shard that the rank computes with
};

Room room_of(const Plan& plan, int rank) {
  Room room;
  int held = -1;
  for (const auto& [reads, hop] : plan.program(rank)) {
    for (const auto& read : reads) room.read = std::max(room.read, plan.key_rows(read.owner));
    if (hop.to >= 0) {
      room.sends_own = room.sends_own || hop.send_owner == rank;
      room.sent_on = std::max(room.sent_on, plan.key_rows(hop.send_owner));
    }
    if (hop.from < 0) continue;
    ++room.receives;
    room.received = std::max(room.received, plan.payload_bytes(hop.receive_owner));
    room.rows = std::max(room.rows, plan.key_rows(hop.receive_owner));
    if (held >= 0 && !hop.send_returns) room.kept += plan.payload_bytes(held);
    held = hop.receive_owner;
  }
  return room;
}

}  // namespace

RankMemory memory_of(const Plan& plan, int rank, Pass pass) {
  const auto& problem = plan.problem();
  const Index d = problem.head_dim;
  const Index d_v = problem.output_dim();
  const auto element = static_cast<Index>(size_of(plan.data_type()));
  const auto sum = static_cast<Index>(size_of(accumulator_of(plan.data_type())));
  const auto number = static_cast<Index>(sizeof(double));
  const Index rows = plan.query_rows(rank) * problem.query_heads;
  const auto room = room_of(plan, rank);
  const Index inputs = rows * d * element + plan.payload_bytes(rank);
  const Index results = rows * (d_v + 1) * sum;  // out and lse
  // What the node shares, or what a rank by itself needs in its place.
  const Index shared = node_memory_of(plan, pass).bytes;
  if (pass == Pass::forward) {
    const Index alone = (room.sends_own ? plan.payload_bytes(rank) : 0) +
                        std::min<Index>(2, room.receives) * room.received;
    return {.inputs = inputs,
            .outputs = results,
            .state = rows * (state_width(d_v) + 1) * number,  // and the scale
            .buffers = shared > 0 ? shared : alone};
  }
  const Index key_width = problem.key_heads * (d + d_v) * sum;
  const Index alone = std::min<Index>(2, room.receives) * room.received + 2 * room.rows * key_width;
  return {.inputs = inputs + results + rows * d_v * element,
          .outputs = rows * d * sum + plan.key_rows(rank) * key_width,
          // the sums of dq, scale twice, <dout, out> and d scale; lse_low twice, lse, <dout, out>;
          // the low parts of the sums of dk and dv
          .state = rows * ((d + 4) * number + 4 * sum) + room.read * key_width,
          .buffers = (shared > 0 ? shared : alone) + room.kept + room.sent_on * key_width};
}

}  // namespace annulus
