#pragma once
// The factor between <q, k> and the logit of each local query.

#include <span>
#include <vector>

#include "annulus/attention/problem.hpp"
#include "annulus/plan/run.hpp"

namespace annulus::ring {

/// beta(n_i) for each row of `shard`. It depends on where a query stands in its document alone.
[[nodiscard]] std::vector<double> row_betas(const Problem& problem, const Shard& shard);

/// gain_h c beta_i for each row and each of `heads`, (rows, heads) row-major. `gain` (H) may be
/// empty; `table` (rows, heads) stands in for `betas` under the `table` policy and is empty under
/// all others.
[[nodiscard]] std::vector<double> query_scale(const Problem& problem, std::span<const double> betas,
                                              Interval heads, std::span<const double> gain,
                                              std::span<const double> table);

}  // namespace annulus::ring
