#include "annulus/plan/cost.hpp"

#include <algorithm>
#include <cmath>

#include "plan/some_of.hpp"

namespace annulus {
namespace {

/// Operations over `pairs` pairs of a query and a key, each of one head.
double flops_of_pairs(const Problem& problem, double pairs) {
  return 2.0 * pairs * static_cast<double>(problem.head_dim + problem.output_dim());
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
        area += visible_area(block) * compute.queries.heads().size();
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

Index bytes_sent(const Plan& plan, const Program& program) {
  Index bytes = 0;
  for (const auto& step : program.steps) {
    for (const auto& send : step.sends) bytes += plan.bytes(send.item);
  }
  return bytes;
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
  cost.bytes_sent = bytes_sent(plan, program);
  for (const auto& step : program.steps) {
    cost.messages_sent += static_cast<Index>(step.sends.size());
  }
  cost.flops = flops_of(plan.problem(), pass, cost.area);
  cost.memory = memory_of(plan, rank, pass, forward, program);
  return cost;
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
