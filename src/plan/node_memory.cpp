#include "annulus/plan/node_memory.hpp"

namespace annulus {
NodeMemory node_memory_of(const Plan& plan, Pass pass) {
  NodeMemory memory;
  if (!plan.reads_in_place()) return memory;
  const auto bytes_of = [&](What what, Index rows) {
    if (what == What::key_gradients && pass == Pass::forward) return Index{0};
    auto item = plan.keys_of(0).as(what);
    item.rows = Rows({0, rows});
    return plan.bytes(item);
  };
  const Index own = plan.largest_key_rows();
  const Index received = plan.largest_received_rows();
  const auto take = [&](Index bytes) {
    constexpr Index line = 64;  // no cache line holds two parts
    const Index begin = memory.bytes;
    memory.bytes += ceil_div(bytes, line) * line;
    return begin;
  };
  // What arrives for step s goes to place s mod 2, and nothing arrives for step 0.
  const auto steps = plan.step_count();
  const auto take_places = [&](Index bytes) {
    const Index even = take(steps > 2 ? bytes : 0);
    return std::array{even, take(steps > 1 ? bytes : 0)};
  };
  memory.own = take(bytes_of(What::keys, own));
  memory.received = take_places(bytes_of(What::keys, received));
  memory.own_sums = take(bytes_of(What::key_gradients, own));
  memory.received_sums = take_places(bytes_of(What::key_gradients, received));
  return memory;
}

}  // namespace annulus
