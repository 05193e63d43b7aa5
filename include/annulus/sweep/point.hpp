#pragma once
// What a scaling study times: one problem on one number of ranks.

#include <optional>
#include <string>

#include "annulus/attention/problem.hpp"
#include "annulus/plan/pass.hpp"
#include "annulus/plan/plan.hpp"

namespace annulus::sweep {

struct Point {
  Problem problem;
  /// Keys of a sequence as the series of the point has them: in a weak study those at one rank, in
  /// a strong one those of the problem.
  Index length = 0;
  int ranks = 1;
  Pass pass = Pass::forward;
  PlanOptions options{};
};

/// The name of a schedule or a sharding as a point asks for it; auto where that is left to the
/// plan.
template <class Choice>
[[nodiscard]] std::string name_or_auto(const std::optional<Choice>& choice) {
  return choice ? std::string(name_of(*choice)) : "auto";
}

/// How much a problem grows with the ranks.
enum class Growth {
  none,    ///< strong scaling: one problem
  work,    ///< weak: n^2 / P is constant
  memory,  ///< weak: n / P is constant
};

/// The length on `ranks` ranks of what has `length` on one, rounded to a multiple of 2 P, so that
/// all shards are equal.
[[nodiscard]] Index grown(Index length, int ranks, Growth growth);

}  // namespace annulus::sweep
