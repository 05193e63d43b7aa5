#include "annulus/plan/heads.hpp"

#include <algorithm>

namespace annulus {

Interval key_heads_of(const Problem& problem, Interval query_heads) {
  const Index group = problem.group();
  return {query_heads.begin / group, ceil_div(query_heads.end, group)};
}

std::vector<Interval> heads_of_member(const Problem& problem, int team, int member) {
  const Index group = problem.group();
  const Index begin = problem.query_heads * member / team;
  const Index end = problem.query_heads * (member + 1) / team;
  // Cut where whole groups begin and end.
  const Index whole_begin = std::min(ceil_div(begin, group) * group, end);
  const Index whole_end = std::max(end / group * group, whole_begin);
  std::vector<Interval> parts;
  for (const Interval part :
       {Interval{begin, whole_begin}, Interval{whole_begin, whole_end}, Interval{whole_end, end}}) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

}  // namespace annulus
