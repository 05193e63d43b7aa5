#pragma once
// The plan that make_plan takes where some of it is free.

#include "annulus/plan/plan.hpp"

namespace annulus {

/// The quickest of those that `options` leaves free, by a prediction that follows a few ranks: the
/// simplest schedule, unless another one is clearly better.
[[nodiscard]] Plan best_plan(const Problem& problem, const Topology& topology,
                             const PlanOptions& options);

}  // namespace annulus
