#include "annulus/plan/node_memory.hpp"

namespace annulus {
NodeMemory node_memory_of(const Plan& plan, Pass pass) {
  NodeMemory memory;
  if (!plan.reads_in_place()) return memory;
  const int largest = plan.largest_owner();
  const Index shard = plan.payload_bytes(largest);
  const Index sums = pass == Pass::backward ? plan.gradient_bytes(largest) : 0;
  const auto take = [&](Index bytes) {
    constexpr Index line = 64;  // no cache line holds two parts
    const Index begin = memory.bytes;
    memory.bytes += ceil_div(bytes, line) * line;
    return begin;
  };
  // The first shard that arrives goes to place 1, the second one to place 0.
  const Index arrivals = plan.most_arrivals();
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
