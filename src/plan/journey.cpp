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

/// Calls visit(interval) with distances forward from `owner`, in [0, circle.nodes()), of `nodes`, a
/// list of ranges, in any order.
template <class Visit>
void for_each_distance(const Circle& circle, int owner, std::span<const Interval> nodes,
                       Visit visit) {
  const Index turn = circle.nodes();
  const Index own = circle.node_of(owner);
  for (const auto& [begin, end] : nodes) {
    // Nodes before that of the owner are a turn further.
    if (begin < own) visit(Interval{begin - own + turn, std::min(end, own) - own + turn});
    if (end > own) visit(Interval{std::max(begin, own) - own, end - own});
  }
}

}  // namespace

std::vector<Interval> needed_distances(const Circle& circle, int owner,
                                       std::span<const Interval> viewers) {
  std::vector<Interval> nodes;
  circle.add_nodes_of(viewers, nodes);
  std::vector<Interval> distances{{0, 1}};
  for_each_distance(circle, owner, nodes, [&](Interval some) { distances.push_back(some); });
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

Interval half_of(Way way, Index rows) {
  const Index half = ceil_div(rows, 2);
  return way == Way::forward ? Interval{0, half} : Interval{half, rows};
}

void Journey::begin(int owner, Shard keys) {
  owner_ = owner;
  keys_ = std::move(keys);
  key_rows_ = row_count(keys_);
  legs_ = {};
}

void Journey::set_out(Way way) {
  auto& leg = this->leg(way);
  leg.known = true;
  leg.part = reach_.halves ? half_of(way, key_rows_) : Interval{0, key_rows_};
  leg.hops = hops_to(needs_->viewers(keys_, leg.part), way);
  if (leg.hops == 0) return;
  // Where the last needs all rows, everybody before it sends them on.
  leg.first = Rows::covering(needed_from(way, leg.hops));
  leg.whole = leg.first == Rows(leg.part);
  if (leg.whole) return;
  const auto last = leg.first;
  leg.first = Rows::covering(needed_from(way, 1));
  leg.whole = halvings(way, leg.hops > 1 ? fewest(way, leg.hops) : last) == 0;
}

int Journey::hops_to(std::span<const Interval> viewers, Way way) {
  const int nodes = circle_->nodes();
  const int most = std::min(reach_[way], nodes - 1);
  if (!viewers.empty() && viewers.front() == Interval{0, circle_->ranks()}) return most;
  places_.clear();
  circle_->add_nodes_of(viewers, places_);
  Index hops = 0;
  for_each_distance(*circle_, owner_, places_, [&](Interval some) {
    const auto [first, last] = way == Way::forward
                                   ? Interval{some.begin, some.end - 1}
                                   : Interval{nodes - some.end + 1, nodes - some.begin};
    if (first <= most) hops = std::max(hops, std::min<Index>(last, most));
  });
  return static_cast<int>(hops);
}

std::span<const Interval> Journey::needed_from(Way way, int hop) {
  const auto& leg = this->leg(way);
  const Index hops = leg.hops;
  const auto distances = way == Way::forward ? Interval{hop, hops + 1} : Interval{-hops, 1 - hop};
  places_.clear();
  for (const auto& nodes : nodes_at(*circle_, owner_, distances)) {
    if (!nodes.empty()) circle_->add_ranks_of(nodes, places_);
  }
  return needs_->rows_seen(keys_, leg.part, places_);
}

Rows Journey::fewest(Way way, int hop) {
  return leg(way).first.narrowed_to(needed_from(way, hop));
}

int Journey::halvings(Way way, const Rows& rows) {
  const auto all = static_cast<std::uint64_t>(leg(way).first.count());
  const auto left = static_cast<std::uint64_t>(rows.count());
  // None is less than one.
  if (left == 0) return static_cast<int>(std::bit_width(all));
  return static_cast<int>(std::bit_width(std::max<std::uint64_t>(all / left, 1))) - 1;
}

Rows Journey::rows(Way way, int hop) {
  auto& leg = this->leg(way);
  if (!leg.known) set_out(way);
  if (hop > leg.hops) return {};
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
