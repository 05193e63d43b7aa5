#pragma once
// The rows of a whole problem and the keys that they see, from the definition of masks and scales.

#include <cmath>
#include <limits>
#include <vector>

#include "annulus/kernels/reference.hpp"
#include "kernels/reference/dense_copy.hpp"

namespace annulus::kernels {

/// A key that a query sees.
struct DirectKey {
  Index row;       ///< in the packed sequence
  double product;  ///< <q, k>
  double size;     ///< Sum_c |q_c k_c|, what rounding errors of the product are relative to
  double z;        ///< the logit
};

/// A query of one head, and what it sees.
struct DirectRow {
  Index row;  ///< in the packed sequence
  Index head;
  Index key_head;
  double scale;           ///< gain * c * beta
  double scale_per_gain;  ///< c * beta
  double sink;            ///< its logit; -inf where there is none
  Index self = -1;        ///< index in `keys` of the query's own position, or -1
  std::vector<DirectKey> keys;

  [[nodiscard]] bool sees_nothing() const { return keys.empty() && std::isinf(sink); }
};

/// The softmax of a row that sees something, in two passes: the largest logit, then the sum.
/// Weights do not go through lse, which would cost as many digits as it has before the point.
class DirectSoftmax {
 public:
  explicit DirectSoftmax(const DirectRow& row);

  [[nodiscard]] double maximum() const { return maximum_; }
  [[nodiscard]] double lse() const { return maximum_ + std::log(sum_); }
  [[nodiscard]] double weight(double z) const { return std::exp(z - maximum_) / sum_; }
  /// ln weight(z)
  [[nodiscard]] double log_weight(double z) const { return z - maximum_ - std::log(sum_); }

 private:
  double maximum_;
  double sum_ = 0;
};

/// Calls visit(row) for every query and head in order.
template <class Visit>
void for_each_direct_row(const Problem& problem, const WholeInputs& inputs, const DenseCopy& q,
                         const DenseCopy& k, Visit visit) {
  const Index d = problem.head_dim;
  const double base = problem.logit_scale.base(d);
  DirectRow one;
  for (Index document = 0; document < problem.documents.count(); ++document) {
    for (Index i = 0; i < problem.documents.query_length(document); ++i) {
      const auto place = place_of(problem, document, i);
      one.row = problem.documents.query_offset(document) + i;
      for (one.head = 0; one.head < problem.query_heads; ++one.head) {
        const auto head = static_cast<std::size_t>(one.head);
        const double beta =
            problem.logit_scale.is_table()
                ? inputs.table[static_cast<std::size_t>(one.row * problem.query_heads) + head]
                : problem.logit_scale.beta(place, d);
        one.key_head = one.head / problem.group();
        one.scale_per_gain = base * beta;
        one.scale = (inputs.gain.empty() ? 1.0 : inputs.gain[head]) * one.scale_per_gain;
        one.sink =
            inputs.sink.empty() ? -std::numeric_limits<double>::infinity() : inputs.sink[head];
        one.self = -1;
        one.keys.clear();
        for (Index j = 0; j < problem.documents.key_length(document); ++j) {
          const Index reach = j - place.position;
          if (reach < -problem.mask.left() || reach > problem.mask.right()) continue;
          const Index key = problem.documents.key_offset(document) + j;
          const double* query_row = q.row(one.row, one.head);
          const double* key_row = k.row(key, one.key_head);
          double product = 0;
          double size = 0;
          for (Index c = 0; c < d; ++c) {
            product += query_row[c] * key_row[c];
            size += std::abs(query_row[c] * key_row[c]);
          }
          if (reach == 0) one.self = static_cast<Index>(one.keys.size());
          one.keys.push_back({key, product, size, one.scale * product});
        }
        visit(one);
      }
    }
  }
}

}  // namespace annulus::kernels
