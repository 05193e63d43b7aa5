#include "annulus/attention/error_bound.hpp"

#include <algorithm>
#include <cmath>

namespace annulus {

ErrorBound ErrorBound::of(const Problem& problem, DataType type, double largest_logit,
                          DataType factors, DataType partials) {
  Index longest = 1;
  for (Index document = 0; document < problem.documents.count(); ++document) {
    longest = std::max(longest, problem.documents.key_length(document));
  }
  ErrorBound bound{.roundoff = unit_roundoff(type)};
  if (factors != type) bound.factor = unit_roundoff(factors);
  if (partials != type) bound.partial = unit_roundoff(partials);
  bound.logit = static_cast<double>(problem.head_dim + 4) * bound.roundoff * largest_logit;
  bound.weight = 2 * bound.logit + static_cast<double>(2 * longest + 32) * bound.roundoff;
  return bound;
}

GradientBound GradientBound::of(const Problem& problem, const ErrorBound& bound,
                                const GradientSizes& sizes) {
  Index queries = 1;
  Index keys = 1;
  for (Index document = 0; document < problem.documents.count(); ++document) {
    queries = std::max(queries, problem.documents.query_length(document));
    keys = std::max(keys, problem.documents.key_length(document));
  }
  const double u = bound.roundoff;
  const auto n = static_cast<double>(queries * problem.group());
  const double weight = bound.logit + bound.lse(sizes.lse) + 4 * u;
  const double product = sizes.dout * sizes.v;
  const double dz = 2 * weight + bound.weight + 3 * bound.factor +
                    static_cast<double>(problem.output_dim() + 8) * u;
  const double key_sum = 2 * static_cast<double>(keys + 4) * u;
  const double query_sum = 2 * (n + 4) * u;
  return {.dq = sizes.scale * sizes.k * product * (dz + key_sum),
          .dk = n * sizes.scale * sizes.q * product * (dz + query_sum),
          .dv = n * sizes.dout * (weight + bound.factor + query_sum)};
}

double ErrorBound::lse(double value) const {
  return logit + weight + 4 * roundoff * std::abs(value);
}

}  // namespace annulus
