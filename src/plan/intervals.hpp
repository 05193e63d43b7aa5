#pragma once
// Sets of indices as lists of intervals.

#include <algorithm>
#include <vector>

#include "annulus/base/index.hpp"

namespace annulus {

/// Makes a list ascending and disjoint, without empty intervals, and joins those that touch.
inline void unite(std::vector<Interval>& intervals) {
  std::erase_if(intervals, [](const Interval& interval) { return interval.empty(); });
  std::ranges::sort(intervals, {}, &Interval::begin);
  std::size_t last = 0;
  for (std::size_t i = 1; i < intervals.size(); ++i) {
    if (intervals[i].begin <= intervals[last].end) {
      intervals[last].end = std::max(intervals[last].end, intervals[i].end);
    } else {
      intervals[++last] = intervals[i];
    }
  }
  if (!intervals.empty()) intervals.resize(last + 1);
}

}  // namespace annulus
