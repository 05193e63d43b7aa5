#pragma once
// The scales of logits of some rows of a whole problem, as kernels take them.

#include <memory>
#include <vector>

#include "annulus/kernels/logit_scales.hpp"
#include "kernels/placed_tensors.hpp"
#include "support/whole_problem.hpp"

namespace annulus::test {

/// Base scale and gain are factors of heads, and beta, or what the table has instead, is a number
/// of the row.
class PlacedScales {
 public:
  template <class T>
  PlacedScales(const std::shared_ptr<device::Stream>& stream, const WholeProblem<T>& whole,
               const std::vector<Index>& rows)
      : numbers_(numbers_of(whole, rows)),
        there_(stream, numbers_),
        base_(whole.problem.logit_scale.base(whole.problem.head_dim)),
        factors_(static_cast<std::size_t>(whole.problem.query_heads), base_) {
    for (std::size_t h = 0; h < whole.gain.size(); ++h) factors_[h] *= whole.gain[h];
  }

  [[nodiscard]] kernels::LogitScales view() const {
    return {.rows = there_.view(), .heads = factors_, .known_rows = numbers_.values};
  }

  /// What the gain of head h multiplies in row i.
  [[nodiscard]] double per_gain(Index i, Index h) const {
    return base_ * numbers_.at(i, numbers_.heads == 1 ? 0 : h, 0);
  }

 private:
  template <class T>
  [[nodiscard]] static Tensor<double> numbers_of(const WholeProblem<T>& whole,
                                                 const std::vector<Index>& rows) {
    const auto& problem = whole.problem;
    const bool table = problem.logit_scale.is_table();
    std::vector<double> betas;
    for (Index document = 0; document < problem.documents.count(); ++document) {
      for (Index i = 0; i < problem.documents.query_length(document); ++i) {
        betas.push_back(problem.logit_scale.beta(place_of(problem, document, i), problem.head_dim));
      }
    }
    Tensor<double> numbers(std::ssize(rows), table ? problem.query_heads : 1, 1);
    for (Index i = 0; i < numbers.rows; ++i) {
      const Index row = rows[static_cast<std::size_t>(i)];
      for (Index h = 0; h < numbers.heads; ++h) {
        numbers.at(i, h, 0) = table ? whole.table[static_cast<std::size_t>(row * numbers.heads + h)]
                                    : betas[static_cast<std::size_t>(row)];
      }
    }
    return numbers;
  }

  Tensor<double> numbers_;
  PlacedRows<double> there_;
  double base_;
  std::vector<double> factors_;
};

}  // namespace annulus::test
