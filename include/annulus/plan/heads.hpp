#pragma once
// Which heads each rank of a team computes with.

#include <vector>

#include "annulus/attention/problem.hpp"
#include "annulus/base/index.hpp"

namespace annulus {

/// The heads of the keys that some heads of the queries read.
[[nodiscard]] Interval key_heads_of(const Problem& problem, Interval query_heads);

/// The query heads of member `member` of `team`, at most as many as there are heads: as many as
/// those of the others or one more, in parts that each are some heads of one key head or all of
/// several.
[[nodiscard]] std::vector<Interval> heads_of_member(const Problem& problem, int team, int member);

}  // namespace annulus
