#include "annulus/plan/cost.hpp"

#include <algorithm>

namespace annulus {
namespace {

/// Bytes that a rank holds at once: its inputs, output, softmax state and two exchange buffers,
/// which are there only where something is received.
Index memory_of(const Plan& plan, int rank) {
  const auto& problem = plan.problem;
  const auto element = static_cast<Index>(size_of(plan.data_type));
  const auto accumulator = static_cast<Index>(size_of(accumulator_of(plan.data_type)));
  const Index queries = plan.query_rows(rank) * problem.query_heads;
  bool receives = false;
  for (const auto& step : plan.steps) {
    receives = receives || step.ranks[static_cast<std::size_t>(rank)].hop.from >= 0;
  }
  const Index buffers = receives ? 2 * plan.largest_key_shard() * problem.key_heads *
                                       (problem.head_dim + problem.output_dim()) * element
                                 : 0;
  constexpr Index row_state = 5;  // maximum, sum, moment, squares, self logit
  return queries * problem.head_dim * element + plan.payload_bytes(rank) +
         queries * (2 * problem.output_dim() + row_state + 1) * accumulator + buffers;
}

/// Pairs that a kernel computes of a block: the visible ones and, where the mask or the end of the
/// block cuts a tile, what is left of it. A row is cut once, by half a tile on average at each end.
Index computed_pairs(const Block& block, Index visible, Index tile) {
  const auto tiled = [&](Index count) { return ceil_div(count, tile) * tile; };
  return std::min(tiled(block.queries.count) * tiled(block.keys.count),
                  visible + block.queries.count * tile);
}

}  // namespace

double forward_flops(const Problem& problem, Index area) {
  return 2.0 * static_cast<double>(area) * static_cast<double>(problem.query_heads) *
         static_cast<double>(problem.head_dim + problem.output_dim());
}

PlanCost cost_of(const Plan& plan, const MachineModel& machine) {
  PlanCost cost;
  cost.ranks.resize(static_cast<std::size_t>(plan.ranks));
  for (const auto& step : plan.steps) {
    double slowest = 0;
    for (int rank = 0; rank < plan.ranks; ++rank) {
      const auto& mine = step.ranks[static_cast<std::size_t>(rank)];
      auto& total = cost.ranks[static_cast<std::size_t>(rank)];
      double compute = 0;
      if (mine.compute_owner >= 0) {
        Index computed = 0;
        for (const auto& block : plan.blocks(rank, mine.compute_owner)) {
          const Index area = visible_area(block);
          total.area += area;
          computed += computed_pairs(block, area, machine.tile);
        }
        compute = forward_flops(plan.problem, computed) / machine.flops_per_second;
      }
      double transfer = 0;
      const auto message_seconds = [&](int owner) {
        return machine.latency_seconds +
               static_cast<double>(plan.payload_bytes(owner)) / machine.bytes_per_second;
      };
      if (mine.hop.to >= 0) {
        total.bytes_sent += plan.payload_bytes(mine.hop.send_owner);
        ++total.messages_sent;
        transfer = message_seconds(mine.hop.send_owner);
      }
      if (mine.hop.from >= 0) {
        transfer = std::max(transfer, message_seconds(mine.hop.receive_owner));
      }
      slowest = std::max(slowest, std::max(compute, transfer));
    }
    cost.seconds += slowest;
  }
  Index largest = 0;
  for (int rank = 0; rank < plan.ranks; ++rank) {
    auto& total = cost.ranks[static_cast<std::size_t>(rank)];
    total.flops = forward_flops(plan.problem, total.area);
    total.memory_bytes = memory_of(plan, rank);
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
