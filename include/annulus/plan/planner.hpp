#pragma once
// Which plan is the best.

#include <string>
#include <vector>

#include "annulus/plan/memory.hpp"
#include "annulus/plan/plan.hpp"
#include "annulus/plan/prediction.hpp"

namespace annulus {

/// A plan, and what is predicted of it.
struct Candidate {
  Plan plan;
  Prediction prediction;
};

/// The best sharding for every schedule that fits, the quickest first: those of `options` alone
/// where it has a schedule or shardings. Schedules have the sizes that fit best by bytes, and teams
/// all sizes. Throws as make_plan does.
[[nodiscard]] std::vector<Candidate> rank_plans(const Problem& problem, const Topology& topology,
                                                const PlanOptions& options = {});

/// Why a plan takes as long as it does, in a few words.
[[nodiscard]] std::string reason(const Prediction& prediction);

/// The least length, of one document of self-attention, from which on all but a hundredth of the
/// pass of `candidate` is computing on its busiest rank, to within a tenth; 0 where there is none
/// up to 2^31.
[[nodiscard]] Index hidden_from(const Candidate& candidate, const Topology& topology,
                                const PlanOptions& options);

}  // namespace annulus
