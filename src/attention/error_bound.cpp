#include "annulus/attention/error_bound.hpp"

#include <algorithm>
#include <cmath>

namespace annulus {

ErrorBound ErrorBound::of(const Problem& problem, DataType type, double largest_logit) {
  Index longest = 1;
  for (Index document = 0; document < problem.documents.count(); ++document) {
    longest = std::max(longest, problem.documents.key_length(document));
  }
  ErrorBound bound{.roundoff = unit_roundoff(type)};
  bound.logit = static_cast<double>(problem.head_dim + 4) * bound.roundoff * largest_logit;
  bound.weight = 2 * bound.logit + static_cast<double>(2 * longest + 32) * bound.roundoff;
  return bound;
}

double ErrorBound::lse(double value) const {
  return logit + weight + 4 * roundoff * std::abs(value);
}

}  // namespace annulus
