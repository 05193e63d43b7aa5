#include "annulus/plan/program.hpp"

#include <algorithm>
#include <array>

#include "annulus/base/error.hpp"

namespace annulus {

Rows Rows::covering(std::span<const Interval> intervals) {
  Rows rows;
  if (intervals.empty()) return rows;
  std::size_t widest = 0;  // the gap after this one
  for (std::size_t i = 1; i + 1 < intervals.size(); ++i) {
    const auto gap = [&](std::size_t at) { return intervals[at + 1].begin - intervals[at].end; };
    if (gap(i) > gap(widest)) widest = i;
  }
  rows.add({intervals.front().begin, intervals[widest].end});
  if (intervals.size() > 1) rows.add({intervals[widest + 1].begin, intervals.back().end});
  return rows;
}

Rows Rows::narrowed_to(std::span<const Interval> intervals) const {
  Rows rows;
  for (const auto& whole : this->intervals()) {
    Interval hull{whole.end, whole.begin};
    for (const auto& [begin, end] : intervals) {
      if (begin >= whole.end || end <= whole.begin) continue;
      hull.begin = std::min(hull.begin, std::max(begin, whole.begin));
      hull.end = std::max(hull.end, std::min(end, whole.end));
    }
    rows.add(hull);
  }
  return rows;
}

Index Rows::count() const {
  Index count = 0;
  for (const auto& interval : intervals()) count += interval.size();
  return count;
}

Index Rows::place_of(Index row) const {
  Index place = 0;
  for (const auto& interval : intervals()) {
    if (interval.contains(row)) return place + row - interval.begin;
    place += interval.size();
  }
  broken_invariant("a row that is not one of an item");
}

bool Rows::contains(const Rows& rows) const {
  return std::ranges::all_of(rows.intervals(), [&](const Interval& part) {
    return std::ranges::any_of(intervals(), [&](const Interval& whole) {
      return whole.begin <= part.begin && part.end <= whole.end;
    });
  });
}

std::string_view name_of(What what) {
  constexpr std::array<std::string_view, 6> names{"keys",   "key_gradients",    "queries",
                                                  "states", "output_gradients", "query_gradients"};
  return names[static_cast<std::size_t>(what)];
}

ItemList::ItemList(std::span<const Item> items)
    : items_(std::make_shared<Item[]>(items.size())), size_(items.size()) {
  ensure(size_ > 0, "a list of items has one at least");
  std::ranges::copy(items, items_.get());
}

Index ItemList::rows() const {
  Index rows = 0;
  for (const auto& item : *this) rows += item.rows.count();
  return rows;
}

bool ItemList::contains(const Item& item) const {
  return std::ranges::find(*this, item) != end();
}

ItemList ItemList::as(What other) const {
  std::vector<Item> items;
  for (const auto& item : *this) items.push_back(item.as(other));
  return ItemList(items);
}

ItemList Program::piece_of(const Item& item, std::size_t step) const {
  const auto keys = item.as(What::keys);
  for (std::size_t at = step; at < steps.size(); ++at) {
    const auto& [takes, releases, begins, sends, receives, computes] = steps[at];
    if (at > step && std::ranges::find(releases, item) != releases.end()) break;
    for (const auto& compute : computes) {
      if (compute.keys.contains(keys)) return compute.keys.as(item.what);
    }
  }
  return item;
}

Shard select(const Shard& shard, const Rows& rows) {
  Shard selected;
  for (const auto& [begin, end] : rows.intervals()) {
    const auto part = slice(shard, begin, end);
    selected.insert(selected.end(), part.begin(), part.end());
  }
  return selected;
}

}  // namespace annulus
