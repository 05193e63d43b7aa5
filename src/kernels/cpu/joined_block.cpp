#include "kernels/cpu/joined_block.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <tuple>
#include <utility>

#include "kernels/cpu/tile.hpp"

namespace annulus::kernels {
namespace {

/// Whether what rows see may follow what the row before them sees.
bool follows(Interval before, Interval after) {
  return after.begin >= before.begin && after.end >= before.end;
}

JoinedBlock alone(const Block& block) {
  const auto& [queries, keys, mask] = block;
  JoinedBlock joined{.queries = {queries.row, queries.row + queries.count},
                     .keys = {keys.row, keys.row + keys.count},
                     .visible = {},
                     .self_key = {}};
  for (Index i = 0; i < queries.count; ++i) {
    const auto visible = block.visible(i);
    // An empty interval lies where the keys would be.
    const auto clamped = [&](Index key) {
      return keys.row + std::clamp<Index>(key, 0, keys.count);
    };
    joined.visible.push_back({clamped(visible.begin), clamped(visible.end)});
    const Index self = block.self_key(i);
    joined.self_key.push_back(self < 0 ? self : keys.row + self);
  }
  return joined;
}

/// What is seen of keys and of those after them, which start at row `border`; nothing if that is
/// not one interval.
std::optional<Interval> together(Interval seen, Interval after, Index border) {
  if (seen == Interval{border, border}) return after;
  if (after.empty()) return seen;
  if (seen.end < border || after.begin > border) return std::nullopt;
  return Interval{seen.begin, after.end};
}

/// Adds keys that follow those of `to`, for the same queries; or does nothing and returns false.
bool add_keys(JoinedBlock& to, const JoinedBlock& more) {
  if (to.queries != more.queries || to.keys.end != more.keys.begin) return false;
  std::vector<Interval> visible;
  for (std::size_t i = 0; i < to.visible.size(); ++i) {
    const auto seen = together(to.visible[i], more.visible[i], to.keys.end);
    if (!seen || (i > 0 && !follows(visible.back(), *seen))) return false;
    visible.push_back(*seen);
  }
  to.visible = std::move(visible);
  to.keys.end = more.keys.end;
  std::ranges::transform(to.self_key, more.self_key, to.self_key.begin(), std::ranges::max);
  return true;
}

/// Adds queries that follow those of `to`; or does nothing and returns false. Blocks that share no
/// keys stay apart unless they are short, as tiles that begin where a block does have less to mask.
bool add_queries(JoinedBlock& to, JoinedBlock& more) {
  const bool worth_it = more.keys.begin < to.keys.end || more.queries.size() <= query_tile / 2;
  if (to.queries.end != more.queries.begin || !worth_it ||
      !follows(to.visible.back(), more.visible.front())) {
    return false;
  }
  to.queries.end = more.queries.end;
  to.keys = {std::min(to.keys.begin, more.keys.begin), std::max(to.keys.end, more.keys.end)};
  std::ranges::move(more.visible, std::back_inserter(to.visible));
  std::ranges::move(more.self_key, std::back_inserter(to.self_key));
  return true;
}

}  // namespace

Interval JoinedBlock::queries_that_see(Interval some) const {
  const auto row_of = [&](auto at) { return queries.begin + (at - visible.begin()); };
  const auto before = [&](const Interval& seen) { return seen.end <= some.begin; };
  const auto not_past = [&](const Interval& seen) { return seen.begin < some.end; };
  return {row_of(std::ranges::partition_point(visible, before)),
          row_of(std::ranges::partition_point(visible, not_past))};
}

std::vector<JoinedBlock> join(std::span<const Block> blocks) {
  std::vector<Block> in_order(blocks.begin(), blocks.end());
  std::ranges::sort(in_order, {}, [](const Block& block) {
    return std::tuple(block.queries.row, block.keys.row);
  });
  std::vector<JoinedBlock> of_queries;
  for (const auto& block : in_order) {
    auto joined = alone(block);
    if (of_queries.empty() || !add_keys(of_queries.back(), joined)) {
      of_queries.push_back(std::move(joined));
    }
  }
  std::vector<JoinedBlock> all;
  for (auto& joined : of_queries) {
    if (all.empty() || !add_queries(all.back(), joined)) all.push_back(std::move(joined));
  }
  std::ranges::stable_sort(all, {}, [](const JoinedBlock& block) { return block.keys.begin; });
  return all;
}

}  // namespace annulus::kernels
