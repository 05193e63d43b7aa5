#include "annulus/plan/node_memory.hpp"

#include <algorithm>

namespace annulus {
namespace {

/// Shards that a rank receives in a pass: the most of any.
Index most_arrivals(const Plan& plan) {
  std::vector<Index> arrivals(static_cast<std::size_t>(plan.ranks));
  for (const auto& step : plan.steps) {
    for (std::size_t rank = 0; rank < arrivals.size(); ++rank) {
      if (step.ranks[rank].hop.from >= 0) ++arrivals[rank];
    }
  }
  return *std::ranges::max_element(arrivals);
}

}  // namespace

NodeMemory node_memory_of(const Plan& plan, Pass pass) {
  NodeMemory memory;
  if (!plan.reads_in_place()) return memory;
  Index shard = 0;
  Index sums = 0;
  for (int owner = 0; owner < plan.ranks; ++owner) {
    shard = std::max(shard, plan.payload_bytes(owner));
    if (pass == Pass::backward) sums = std::max(sums, plan.gradient_bytes(owner));
  }
  const auto take = [&](Index bytes) {
    constexpr Index line = 64;  // no cache line holds two parts
    const Index begin = memory.bytes;
    memory.bytes += ceil_div(bytes, line) * line;
    return begin;
  };
  // The first shard that arrives goes to place 1, the second one to place 0.
  const Index arrivals = most_arrivals(plan);
  const auto take_places = [&](Index bytes) {
    const Index second = take(arrivals > 1 ? bytes : 0);
    return std::array{second, take(arrivals > 0 ? bytes : 0)};
  };
  memory.own = take(shard);
  memory.received = take_places(shard);
  memory.own_sums = take(sums);
  memory.received_sums = take_places(sums);
  return memory;
}

}  // namespace annulus
