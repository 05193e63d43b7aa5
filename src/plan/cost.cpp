#include "annulus/plan/cost.hpp"

#include <algorithm>

namespace annulus {
namespace {

/// Pairs that a kernel computes of a block: the visible ones and, where the mask or the end of the
/// block cuts a tile, what is left of it. A row is cut once, by half a tile on average at each end.
Index computed_pairs(const Block& block, Index visible, Index tile) {
  const auto tiled = [&](Index count) { return ceil_div(count, tile) * tile; };
  return std::min(tiled(block.queries.count) * tiled(block.keys.count),
                  visible + block.queries.count * tile);
}

/// What a rank sends and receives in one step.
struct Traffic {
  Index bytes_sent = 0;
  Index messages_sent = 0;
  Index bytes_received = 0;

  void send(Index bytes) {
    bytes_sent += bytes;
    ++messages_sent;
  }
};

Traffic forward_traffic(const Plan& plan, const Step& step, int rank) {
  const auto& hop = step.ranks[static_cast<std::size_t>(rank)].hop;
  Traffic traffic;
  if (hop.to >= 0) traffic.send(plan.payload_bytes(hop.send_owner));
  if (hop.from >= 0) traffic.bytes_received = plan.payload_bytes(hop.receive_owner);
  return traffic;
}

/// Shards go back by the hop of the step before, and gradients by that of the step itself.
Traffic backward_traffic(const Plan& plan, std::size_t step, int rank) {
  const auto hop_of = [&](std::size_t at) {
    return plan.steps[at].ranks[static_cast<std::size_t>(rank)].hop;
  };
  Traffic traffic;
  if (step > 0) {
    const auto& before = plan.steps[step - 1];
    const Hop came = hop_of(step - 1);
    if (came.from >= 0 && before.comes_back(came.from)) {
      traffic.send(plan.payload_bytes(came.receive_owner));
    }
    if (before.comes_back(rank)) traffic.bytes_received += plan.payload_bytes(came.send_owner);
  }
  const Hop went = hop_of(step);
  if (went.from >= 0) traffic.send(plan.gradient_bytes(went.receive_owner));
  if (went.to >= 0) traffic.bytes_received += plan.gradient_bytes(went.send_owner);
  return traffic;
}

}  // namespace

double forward_flops(const Problem& problem, Index area) {
  return 2.0 * static_cast<double>(area) * static_cast<double>(problem.query_heads) *
         static_cast<double>(problem.head_dim + problem.output_dim());
}

PlanCost cost_of(const Plan& plan, const MachineModel& machine, Pass pass) {
  const double passes = pass == Pass::backward ? backward_to_forward_flops : 1;
  PlanCost cost;
  cost.ranks.resize(static_cast<std::size_t>(plan.ranks));
  for (std::size_t at = 0; at < plan.steps.size(); ++at) {
    const auto& step = plan.steps[at];
    double slowest = 0;
    for (int rank = 0; rank < plan.ranks; ++rank) {
      const auto& mine = step.ranks[static_cast<std::size_t>(rank)];
      auto& total = cost.ranks[static_cast<std::size_t>(rank)];
      double compute = 0;
      for (const auto& read : mine.reads) {
        Index computed = 0;
        for (const auto& block : plan.blocks(rank, read.owner)) {
          const Index area = visible_area(block);
          total.area += area;
          computed += computed_pairs(block, area, machine.tile);
        }
        compute += passes * forward_flops(plan.problem, computed) / machine.flops_per_second;
      }
      const auto traffic = pass == Pass::forward ? forward_traffic(plan, step, rank)
                                                 : backward_traffic(plan, at, rank);
      total.bytes_sent += traffic.bytes_sent;
      total.messages_sent += traffic.messages_sent;
      const double transfer =
          machine.latency_seconds * static_cast<double>(traffic.messages_sent) +
          static_cast<double>(std::max(traffic.bytes_sent, traffic.bytes_received)) /
              machine.bytes_per_second;
      slowest = std::max(slowest, std::max(compute, transfer));
    }
    cost.seconds += slowest;
  }
  Index largest = 0;
  for (int rank = 0; rank < plan.ranks; ++rank) {
    auto& total = cost.ranks[static_cast<std::size_t>(rank)];
    total.flops = passes * forward_flops(plan.problem, total.area);
    total.memory = memory_of(plan, rank, pass);
    cost.area += total.area;
    cost.flops += total.flops;
    cost.bytes_sent += total.bytes_sent;
    largest = std::max(largest, total.area);
  }
  if (largest > 0) {
    cost.balance = static_cast<double>(cost.area) /
                   (static_cast<double>(largest) * static_cast<double>(plan.ranks));
  }
  return cost;
}

}  // namespace annulus
