#include "annulus/plan/cost.hpp"

#include <algorithm>

namespace annulus {
namespace {

// The machine that plans are compared on: of the order of one CPU core and one 10 Gbit/s link. Only
// the ratio matters.
constexpr double flops_per_second = 1e11;
constexpr double bytes_per_second = 1.25e9;  // per rank and direction
constexpr double latency_seconds = 5e-6;     // per message
constexpr Index tile = 64;  // kernels compute tiles of so many queries and keys, visible or not

/// Pairs that a kernel computes of a block: the visible ones and, where the mask or the end of the
/// block cuts a tile, what is left of it. A row is cut once, by half a tile on average at each end.
Index computed_pairs(const Block& block, Index visible) {
  const auto tiled = [](Index count) { return ceil_div(count, tile) * tile; };
  return std::min(tiled(block.queries.count) * tiled(block.keys.count),
                  visible + block.queries.count * tile);
}

/// What a rank sends and receives in one step.
struct StepTraffic {
  Index bytes_sent = 0;
  Index messages_sent = 0;
  Index bytes_received = 0;

  void send(Index bytes) {
    bytes_sent += bytes;
    ++messages_sent;
  }
  [[nodiscard]] double seconds() const {
    return latency_seconds * static_cast<double>(messages_sent) +
           static_cast<double>(std::max(bytes_sent, bytes_received)) / bytes_per_second;
  }
};

StepTraffic forward_traffic(const Plan& plan, const Hop& hop) {
  StepTraffic traffic;
  if (hop.to >= 0) traffic.send(plan.payload_bytes(hop.send_owner));
  if (hop.from >= 0) traffic.bytes_received = plan.payload_bytes(hop.receive_owner);
  return traffic;
}

/// Shards go back by the hop of the step before, and gradients by that of the step itself.
StepTraffic backward_traffic(const Plan& plan, const Hop& before, const Hop& hop) {
  StepTraffic traffic;
  if (before.receive_returns) traffic.send(plan.payload_bytes(before.receive_owner));
  if (before.send_returns) traffic.bytes_received += plan.payload_bytes(before.send_owner);
  if (hop.from >= 0) traffic.send(plan.gradient_bytes(hop.receive_owner));
  if (hop.to >= 0) traffic.bytes_received += plan.gradient_bytes(hop.send_owner);
  return traffic;
}

/// Adds what `rank` does to `cost`, and to `slowest` what it needs longer for than ranks before it.
void add_program(const Plan& plan, int rank, Pass pass, RankCost& cost,
                 std::vector<double>& slowest) {
  const double passes = pass == Pass::backward ? backward_to_forward_flops : 1;
  const auto& program = plan.program(rank);
  for (std::size_t step = 0; step < program.size(); ++step) {
    const auto& [reads, hop] = program[step];
    double compute = 0;
    for (const auto& read : reads) {
      Index computed = 0;
      for (const auto& block : plan.blocks(rank, read.owner)) {
        const Index area = visible_area(block);
        cost.area += area;
        computed += computed_pairs(block, area);
      }
      compute += passes * forward_flops(plan.problem(), computed) / flops_per_second;
    }
    const auto traffic =
        pass == Pass::forward
            ? forward_traffic(plan, hop)
            : backward_traffic(plan, step > 0 ? program[step - 1].hop : Hop{}, hop);
    cost.bytes_sent += traffic.bytes_sent;
    cost.messages_sent += traffic.messages_sent;
    slowest[step] = std::max({slowest[step], compute, traffic.seconds()});
  }
  cost.flops = passes * forward_flops(plan.problem(), cost.area);
  cost.memory = memory_of(plan, rank, pass);
}

}  // namespace

double forward_flops(const Problem& problem, Index area) {
  return 2.0 * static_cast<double>(area) * static_cast<double>(problem.query_heads) *
         static_cast<double>(problem.head_dim + problem.output_dim());
}

PlanCost cost_of(const Plan& plan, Pass pass) {
  PlanCost cost;
  std::vector<double> slowest(plan.step_count());
  Index largest = 0;
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    auto& own = cost.ranks.emplace_back();
    add_program(plan, rank, pass, own, slowest);
    cost.area += own.area;
    cost.flops += own.flops;
    cost.bytes_sent += own.bytes_sent;
    largest = std::max(largest, own.area);
  }
  for (const double seconds : slowest) cost.seconds += seconds;
  if (largest > 0) {
    cost.balance = static_cast<double>(cost.area) /
                   (static_cast<double>(largest) * static_cast<double>(plan.ranks()));
  }
  return cost;
}

}  // namespace annulus
