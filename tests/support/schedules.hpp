#pragma once
// Schedules as test data.

#include <algorithm>
#include <vector>

#include "annulus/plan/schedule.hpp"

namespace annulus::test {

/// Schedules for which nodes do not matter, that fit so many ranks and heads.
[[nodiscard]] inline std::vector<annulus::Schedule> schedules_for(int ranks, Index heads) {
  std::vector<annulus::Schedule> all;
  for (const auto* name :
       {"bidirectional", "double-ring:1", "tiles:1x2", "tiles:2x1", "tiles:1x3", "tiles:3x1",
        "double-ring:2", "tiles:2x2", "tiles:5x1", "tiles:2x4", "double-ring:4", "heads:2",
        "heads:2+bidirectional", "heads:2+tiles:2x1", "heads:2+double-ring:2", "heads:2+tiles:2x2",
        "heads:3", "heads:4+tiles:1x2"}) {
    const auto schedule = annulus::parse_schedule(name);
    const int tiles = schedule.query_teams * schedule.key_teams * schedule.heads;
    const int unit = schedule.heads * std::max(schedule.inner, 1);
    const bool fits = tiles > 0 ? tiles == ranks : ranks % unit == 0;
    if (fits && schedule.heads <= heads) all.push_back(schedule);
  }
  return all;
}

}  // namespace annulus::test
