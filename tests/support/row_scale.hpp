#pragma once
// The scale of logits for some rows of a whole problem.

#include <vector>

#include "support/whole_problem.hpp"

namespace annulus::test {

/// (rows, H): gain times base scale times beta of `rows`, or of what the table has instead.
template <class T>
[[nodiscard]] std::vector<double> scale_of(const WholeProblem<T>& whole,
                                           const std::vector<Index>& rows) {
  const auto& problem = whole.problem;
  const double base = problem.logit_scale.base(problem.head_dim);
  std::vector<double> beta;
  for (Index document = 0; document < problem.documents.count(); ++document) {
    for (Index i = 0; i < problem.documents.query_length(document); ++i) {
      beta.push_back(problem.logit_scale.beta(place_of(problem, document, i), problem.head_dim));
    }
  }
  std::vector<double> scale;
  for (const Index row : rows) {
    for (Index h = 0; h < problem.query_heads; ++h) {
      const auto at = static_cast<std::size_t>(row * problem.query_heads + h);
      const double gain = whole.gain.empty() ? 1 : whole.gain[static_cast<std::size_t>(h)];
      scale.push_back(
          gain * base *
          (whole.table.empty() ? beta[static_cast<std::size_t>(row)] : whole.table[at]));
    }
  }
  return scale;
}

}  // namespace annulus::test
