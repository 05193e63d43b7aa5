#include "plan/step_seconds.hpp"

#include <algorithm>

namespace annulus {
namespace {

constexpr Index tile = 64;  // kernels compute tiles of so many queries and keys, visible or not

/// Pairs that a kernel computes of a block: the visible ones and, where the mask or the end of the
/// block cuts a tile, what is left of it. A row is cut once, by half a tile on average at each end.
Index computed_pairs(const Block& block) {
  const auto tiled = [](Index count) { return ceil_div(count, tile) * tile; };
  return std::min(tiled(block.queries.count) * tiled(block.keys.count),
                  visible_area(block) + block.queries.count * tile);
}

double product(Index rows, Index heads) {
  return static_cast<double>(rows) * static_cast<double>(heads);
}

}  // namespace

double accumulate_seconds(const KernelCost& cost, std::span<const Block> blocks, Index heads,
                          Index key_heads) {
  Index pairs = 0;
  Index queries = 0;
  Index keys = 0;
  for (const auto& block : blocks) {
    pairs += computed_pairs(block);
    queries += block.queries.count;
    keys += block.keys.count;
  }
  return cost.per_call + cost.per_pair * product(pairs, heads) +
         cost.per_query * product(queries, heads) + cost.per_key * product(keys, key_heads);
}

double query_seconds(const KernelCost& cost, Index rows, Index heads) {
  return cost.per_row * product(rows, heads);
}

StepSeconds::StepSeconds(const Plan& plan, Pass pass, const Machine& machine, int threads,
                         int ranks_of_node)
    : plan_(plan),
      cost_(kernel_cost(machine, plan.data_type(), pass, plan.problem().head_dim,
                        plan.problem().output_dim())),
      cores_(machine.cores == 0
                 ? threads
                 : std::min<double>(threads, static_cast<double>(machine.cores) / ranks_of_node)) {}

double StepSeconds::of(const Step& step) const {
  double seconds = 0;
  for (const auto& compute : step.computes) {
    seconds += accumulate_seconds(cost_, plan_.blocks(compute), compute.queries.heads().size(),
                                  compute.keys.heads().size());
  }
  for (const auto& receive : step.receives) {
    const auto& item = receive.item;
    if (is_of_keys(item.what)) continue;
    seconds += query_seconds(cost_, item.rows.count(), item.heads.size());
  }
  return seconds / cores_;
}

double StepSeconds::of_queries(int rank) const {
  return query_seconds(cost_, plan_.query_rows(rank), plan_.problem().query_heads) / cores_;
}

}  // namespace annulus
