#include "plan/journey.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <utility>

#include "plan/intervals.hpp"

namespace annulus {
namespace {

std::size_t at(Way way) {
  return static_cast<std::size_t>(way);
}

/// A range of distances from `owner`, those of nodes ahead being positive, as ranges of nodes.
std::vector<Interval> nodes_at(const Circle& circle, int owner, Interval distances) {
  const Index nodes = circle.nodes();
  if (distances.size() >= nodes) return {{0, nodes}};
  const Index from = ((circle.node_of(owner) + distances.begin) % nodes + nodes) % nodes;
  const Index to = from + distances.size();
  if (to <= nodes) return {{from, to}};
  return {{0, to - nodes}, {from, nodes}};
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

Journey::Journey(const Circle& circle, const Needs& needs, int owner, Shard keys, Reach reach)
    : circle_(circle),
      needs_(needs),
      owner_(owner),
      keys_(std::move(keys)),
      key_rows_(row_count(keys_)) {
  for (const auto& [begin, end] : needed_distances(circle, owner, needs.viewers(keys_))) {
    const Index forward = std::min<Index>(end - 1, reach.forward);
    if (forward >= begin) travel_.forward = static_cast<int>(forward);
    const Index backward = circle.nodes() - std::max<Index>(begin, circle.nodes() - reach.backward);
    if (travel_.backward == 0 && end > circle.nodes() - reach.backward) {
      travel_.backward = static_cast<int>(backward);
    }
  }
  for (const Way way : {Way::forward, Way::backward}) {
    if (travel_[way] == 0) continue;
    // Where the last needs all rows, everybody before it sends them on.
    const auto needed_last = needed_from(way, travel_[way]);
    const auto of_last = Rows::covering(needed_last);
    if (of_last.count() == key_rows_) {
      first_[at(way)] = of_last;
      whole_[at(way)] = true;
      continue;
    }
    first_[at(way)] = Rows::covering(needed_from(way, 1));
    const auto& first = first_[at(way)];
    const auto last = travel_[way] > 1 ? first.narrowed_to(needed_last) : first;
    whole_[at(way)] = halvings(way, last) == 0;
  }
}

std::vector<Interval> Journey::needed_from(Way way, int hop) const {
  const Index travel = travel_[way];
  const auto distances =
      way == Way::forward ? Interval{hop, travel + 1} : Interval{-travel, 1 - hop};
  std::vector<Interval> ranks;
  for (const auto& nodes : nodes_at(circle_, owner_, distances)) {
    for (const auto& range : circle_.ranks_of(nodes)) ranks.push_back(range);
  }
  return needs_.rows_seen(keys_, ranks);
}

Rows Journey::fewest(Way way, int hop) const {
  return first_[at(way)].narrowed_to(needed_from(way, hop));
}

int Journey::halvings(Way way, const Rows& rows) const {
  const Index all = first_[at(way)].count();
  const auto ratio = static_cast<std::uint64_t>(all / std::max<Index>(rows.count(), 1));
  return static_cast<int>(std::bit_width(std::max<std::uint64_t>(ratio, 1))) - 1;
}

Rows Journey::rows(Way way, int hop) const {
  if (hop > travel_[way]) return {};
  if (whole_[at(way)]) return first_[at(way)];
  // The first hop whose rows have halved as often.
  const int halved = halvings(way, fewest(way, hop));
  int begin = 1;
  for (int end = hop; begin < end;) {
    const int middle = begin + (end - begin) / 2;
    if (halvings(way, fewest(way, middle)) < halved) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return fewest(way, begin);
}

}  // namespace annulus
