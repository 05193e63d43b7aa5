#include "annulus/plan/cost.hpp"

#include <algorithm>
#include <cmath>

#include "plan/some_of.hpp"

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

/// Operations over `pairs` pairs of a query and a key, each of one head.
double flops_of_pairs(const Problem& problem, double pairs) {
  return 2.0 * pairs * static_cast<double>(problem.head_dim + problem.output_dim());
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

StepTraffic traffic_of(const Plan& plan, const Step& step) {
  StepTraffic traffic;
  for (const auto& send : step.sends) traffic.send(plan.bytes(send.item));
  for (const auto& receive : step.receives) traffic.bytes_received += plan.bytes(receive.item);
  return traffic;
}

/// Operations of a kernel in a step of a forward pass.
double computed_flops(const Plan& plan, const Step& step) {
  double flops = 0;
  for (const auto& compute : step.computes) {
    Index pairs = 0;
    for (const auto& block : plan.blocks(compute)) {
      pairs += computed_pairs(block, visible_area(block));
    }
    flops += flops_of_pairs(plan.problem(), static_cast<double>(pairs) *
                                                static_cast<double>(compute.queries.heads.size()));
  }
  return flops;
}

double flops_of(const Problem& problem, Pass pass, Index area) {
  return (pass == Pass::backward ? backward_to_forward_flops : 1) * forward_flops(problem, area);
}

/// Visible pairs that a rank computes, per head.
Index area_of(const Plan& plan, int rank, const Program& program) {
  Index area = 0;
  if (!plan.schedule().queries_travel()) {
    for (const auto& run : plan.query_shard(rank)) area += visible_area(plan.problem(), run);
    return area;
  }
  for (const auto& step : program.steps) {
    for (const auto& compute : step.computes) {
      for (const auto& block : plan.blocks(compute)) {
        area += visible_area(block) * compute.queries.heads.size();
      }
    }
  }
  return area / plan.problem().query_heads;
}

}  // namespace

double forward_flops(const Problem& problem, Index area) {
  return flops_of_pairs(problem,
                        static_cast<double>(area) * static_cast<double>(problem.query_heads));
}

RankCost cost_of(const Plan& plan, int rank, Pass pass) {
  const auto forward = plan.program(rank);
  if (pass == Pass::forward) return cost_of(plan, rank, pass, forward, forward);
  return cost_of(plan, rank, pass, forward, plan.backward_program(rank, forward));
}

RankCost cost_of(const Plan& plan, int rank, Pass pass, const Program& forward,
                 const Program& program) {
  RankCost cost;
  cost.area = area_of(plan, rank, program);
  for (const auto& step : program.steps) {
    const auto traffic = traffic_of(plan, step);
    cost.bytes_sent += traffic.bytes_sent;
    cost.messages_sent += traffic.messages_sent;
  }
  cost.flops = flops_of(plan.problem(), pass, cost.area);
  cost.memory = memory_of(plan, rank, pass, forward, program);
  return cost;
}

double estimated_seconds(const Plan& plan, double enough) {
  constexpr int most_ranks = 8;
  constexpr std::size_t most_steps = 32;
  const auto step_count = static_cast<double>(plan.step_count());
  double slowest = 0;
  for (const int rank : some_of(plan.ranks(), most_ranks)) {
    const auto steps = plan.some_steps(rank, most_steps);
    double seconds = 0;
    for (const auto& step : steps) {
      seconds +=
          std::max(computed_flops(plan, step) / flops_per_second, traffic_of(plan, step).seconds());
    }
    seconds *= step_count / static_cast<double>(steps.size());
    slowest = std::max(slowest, seconds);
    if (slowest > enough) break;
  }
  return slowest;
}

bool PlanCost::exact() const {
  return !asked.empty() && static_cast<int>(asked.size()) == asked.back() + 1;
}

PlanCost cost_of(const Plan& plan, Pass pass, int most_asked) {
  PlanCost cost;
  cost.asked = some_of(plan.ranks(), most_asked);
  Index largest = 0;
  double area = 0;
  double bytes = 0;
  for (const int rank : cost.asked) {
    const auto& own = cost.ranks.emplace_back(cost_of(plan, rank, pass));
    area += static_cast<double>(own.area);
    bytes += static_cast<double>(own.bytes_sent);
    largest = std::max(largest, own.area);
  }
  const auto asked = static_cast<double>(cost.asked.size());
  cost.area = visible_area(plan.problem());
  cost.flops = flops_of(plan.problem(), pass, cost.area);
  cost.bytes_sent = static_cast<Index>(std::llround(bytes / asked * plan.ranks()));
  if (largest > 0) cost.balance = area / (static_cast<double>(largest) * asked);
  return cost;
}

}  // namespace annulus
