#pragma once
// The factor between <q, k> and the logit of each local query.

#include <span>
#include <vector>

#include "annulus/attention/problem.hpp"
#include "annulus/plan/run.hpp"

namespace annulus::ring {

/// gain_h c beta(n_i) for each row of `shard` and each head, (rows, H) row-major. It depends on
/// where a query stands in its document alone. `gain` (H) may be empty; `table` (rows, H) holds
/// beta for the `table` policy and is empty for all others.
[[nodiscard]] std::vector<double> query_scale(const Problem& problem, const Shard& shard,
                                              std::span<const double> gain,
                                              std::span<const double> table);

}  // namespace annulus::ring
