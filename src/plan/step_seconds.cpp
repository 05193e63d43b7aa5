#include "plan/step_seconds.hpp"

#include <algorithm>

namespace annulus {
namespace {

constexpr Index tile = 64;  // kernels compute tiles of so many queries and keys, visible or not

/// How many of `rows` meet some of `others`, which are up to so far behind a row or ahead of it.
Index meeting(const PlacedRows& rows, const PlacedRows& others, Index behind, Index ahead) {
  const Index from = others.position - ahead - rows.position;
  const Index to = others.position_of(others.count - 1) + behind - rows.position;
  const Index begin = std::max<Index>(ceil_div(from, rows.stride), 0);
  const Index end = std::min(floor_div(to, rows.stride) + 1, rows.count);
  return std::max<Index>(end - begin, 0);
}

/// What a kernel computes of a block: rows that have no part in it are passed over.
struct Extent {
  Index pairs;
  Index queries;
  Index keys;
};

/// Pairs are the visible ones and, where the mask or the end of the block cuts a tile, what is left
/// of it. A row is cut once, by half a tile on average at each end.
Extent extent_of(const Block& block) {
  const auto& [queries, keys, mask] = block;
  const auto tiled = [](Index count) { return ceil_div(count, tile) * tile; };
  Extent extent{.pairs = 0,
                .queries = meeting(queries, keys, mask.left(), mask.right()),
                .keys = meeting(keys, queries, mask.right(), mask.left())};
  extent.pairs = std::min(tiled(extent.queries) * tiled(extent.keys),
                          visible_area(block) + extent.queries * tile);
  return extent;
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
    const auto extent = extent_of(block);
    pairs += extent.pairs;
    queries += extent.queries;
    keys += extent.keys;
  }
  return cost.per_call + cost.per_pair * product(pairs, heads) +
         cost.per_query * product(queries, heads) + cost.per_key * product(keys, key_heads);
}

double query_seconds(const KernelCost& cost, Index rows, Index heads) {
  return cost.per_row * product(rows, heads);
}

double cores_of_rank(const Machine& machine, int threads, int ranks_of_node) {
  const double asked = machine.memory == PeerMemory::separate ? 1 : threads;
  if (machine.cores == 0) return asked;
  return std::min(asked, static_cast<double>(machine.cores) / ranks_of_node);
}

StepSeconds::StepSeconds(const Plan& plan, Pass pass, const Machine& machine, double cores)
    : plan_(plan),
      cost_(kernel_cost(machine, plan.data_type(), pass, plan.problem().head_dim,
                        plan.problem().output_dim())),
      cores_(cores) {}

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
