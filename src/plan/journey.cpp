#include "plan/journey.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>

#include "plan/intervals.hpp"

namespace annulus {
namespace {

/// A range of distances from `owner`, those of nodes ahead being positive, as ranges of nodes.
std::array<Interval, 2> nodes_at(const Circle& circle, int owner, Interval distances) {
  const Index nodes = circle.nodes();
  if (distances.size() >= nodes) return {{{0, nodes}, {}}};
  const Index from = ((circle.node_of(owner) + distances.begin) % nodes + nodes) % nodes;
  const Index to = from + distances.size();
  if (to <= nodes) return {{{from, to}, {}}};
  return {{{0, to - nodes}, {from, nodes}}};
}

}  // namespace

std::vector<Interval> needed_distances(const Circle& circle, int owner,
                                       const std::vector<Interval>& viewers) {
  const Index nodes = circle.nodes();
  const Index own = circle.node_of(owner);
  std::vector<Interval> distances{{0, 1}};
  for (const auto& [begin, end] : circle.nodes_of(viewers)) {
    // Nodes before that of the owner are a turn further.
    if (begin < own) distances.push_back({begin - own + nodes, std::min(end, own) - own + nodes});
    if (end > own) distances.push_back({std::max(begin, own) - own, end - own});
  }
  unite(distances);
  return distances;
}

Reach reach_of(std::vector<Interval> needed, int nodes) {
  needed.push_back({nodes, nodes + 1});  // the owner itself, a turn further
  std::size_t longest = 0;               // the stretch after this range
  for (std::size_t i = 0; i + 1 < needed.size(); ++i) {
    const auto stretch = [&](std::size_t range) {
      return needed[range + 1].begin - needed[range].end;
    };
    if (stretch(i) >= stretch(longest)) longest = i;
  }
  // Where nothing is left out, the last hop is the last.
  const Index last = std::min<Index>(needed[longest].end, nodes) - 1;
  return {.forward = static_cast<int>(last),
          .backward = static_cast<int>(nodes - std::min<Index>(needed[longest + 1].begin, nodes))};
}

Reach reach_both_ways(const std::vector<Interval>& needed, int nodes) {
  const auto cut = reach_of(needed, nodes);
  if (cut.backward > 0 || 2 * cut.forward <= nodes) return cut;
  const auto second = needed.front().end > 1 ? Index{1} : needed[1].begin;
  return {.forward = static_cast<int>(needed.back().end) - 1,
          .backward = nodes - static_cast<int>(second),
          .halves = true};
}

Rows half_of(Way way, Index rows) {
  const Index half = ceil_div(rows, 2);
  return Rows(way == Way::forward ? Interval{0, half} : Interval{half, rows});
}

Journey::Journey(const Circle& circle, Needs& needs, int owner, Shard keys, Reach reach)
    : circle_(&circle),
      needs_(&needs),
      owner_(owner),
      keys_(std::move(keys)),
      key_rows_(row_count(keys_)) {
  int& forward = leg(Way::forward).hops;
  int& backward = leg(Way::backward).hops;
  const Index nodes = circle.nodes();
  const auto viewers = needs.viewers(keys_);
  if (!viewers.empty() && viewers.front() == Interval{0, circle.ranks()}) {
    forward = std::min(reach.forward, circle.nodes() - 1);
    backward = reach.backward;
    return;
  }
  for (const auto& [begin, end] : needed_distances(circle, owner, viewers)) {
    const Index last = std::min<Index>(end - 1, reach.forward);
    if (last >= begin) forward = static_cast<int>(last);
    if (backward == 0 && end > nodes - reach.backward) {
      backward = static_cast<int>(nodes - std::max<Index>(begin, nodes - reach.backward));
    }
  }
}

void Journey::set_out(Way way) {
  auto& leg = this->leg(way);
  leg.known = true;
  // Where the last needs all rows, everybody before it sends them on.
  leg.first = Rows::covering(needed_from(way, leg.hops));
  leg.whole = leg.first.count() == key_rows_;
  if (leg.whole) return;
  const auto last = leg.first;
  leg.first = Rows::covering(needed_from(way, 1));
  leg.whole = halvings(way, leg.hops > 1 ? fewest(way, leg.hops) : last) == 0;
}

std::span<const Interval> Journey::needed_from(Way way, int hop) {
  const Index hops = leg(way).hops;
  const auto distances = way == Way::forward ? Interval{hop, hops + 1} : Interval{-hops, 1 - hop};
  ranks_.clear();
  for (const auto& nodes : nodes_at(*circle_, owner_, distances)) {
    if (!nodes.empty()) circle_->add_ranks_of(nodes, ranks_);
  }
  return needs_->rows_seen(keys_, ranks_);
}

Rows Journey::fewest(Way way, int hop) {
  return leg(way).first.narrowed_to(needed_from(way, hop));
}

int Journey::halvings(Way way, const Rows& rows) {
  const Index all = leg(way).first.count();
  const auto ratio = static_cast<std::uint64_t>(all / std::max<Index>(rows.count(), 1));
  return static_cast<int>(std::bit_width(std::max<std::uint64_t>(ratio, 1))) - 1;
}

Rows Journey::rows(Way way, int hop) {
  auto& leg = this->leg(way);
  if (hop > leg.hops) return {};
  if (!leg.known) set_out(way);
  if (leg.whole) return leg.first;
  if (leg.alike.contains(hop)) return leg.rows;
  auto rows = fewest(way, hop);
  const int halved = halvings(way, rows);
  if (!leg.alike.empty() && hop >= leg.alike.end && halved == leg.halved) {
    leg.alike.end = hop + 1;
    return leg.rows;
  }
  // The first hop whose rows have halved as often.
  int begin = halved == 0 ? 1 : hop;
  if (halved == 0) rows = leg.first;
  for (int from = 1; from < begin;) {
    const int middle = from + (begin - from) / 2;
    const auto there = fewest(way, middle);
    if (halvings(way, there) < halved) {
      from = middle + 1;
    } else {
      begin = middle;
      rows = there;
    }
  }
  leg.alike = {begin, hop + 1};
  leg.halved = halved;
  leg.rows = rows;
  return rows;
}

}  // namespace annulus
