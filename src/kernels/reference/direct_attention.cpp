#include <algorithm>

#include "kernels/reference/direct_rows.hpp"

namespace annulus::kernels {

DirectSoftmax::DirectSoftmax(const DirectRow& row) : maximum_(row.sink) {
  for (const auto& key : row.keys) maximum_ = std::max(maximum_, key.z);
  sum_ = std::exp(row.sink - maximum_);
  for (const auto& key : row.keys) sum_ += std::exp(key.z - maximum_);
}

void direct_attention(const Problem& problem, const WholeInputs& inputs, TensorView out,
                      TensorView lse, const StatisticsView& statistics) {
  validate(problem);
  const auto q = copy_dense(inputs.q);
  const auto k = copy_dense(inputs.k);
  const auto v = copy_dense(inputs.v);
  for_each_direct_row(problem, inputs, q, k, [&](const DirectRow& row) {
    double* to = out.row<double>(row.row, row.head);
    std::fill(to, to + problem.output_dim(), 0.0);
    RowStatistics<double> all;
    double row_lse = -std::numeric_limits<double>::infinity();
    if (!row.sees_nothing()) {
      const DirectSoftmax softmax(row);
      row_lse = softmax.lse();
      all.max_logit = softmax.maximum();
      double squares = 0;
      const auto count = [&](double z) {
        const double p = softmax.weight(z);
        all.entropy -= p > 0 ? p * softmax.log_weight(z) : 0;
        all.max_probability = std::max(all.max_probability, p);
        squares += p * p;
        return p;
      };
      if (!std::isinf(row.sink)) count(row.sink);
      for (const auto& key : row.keys) {
        const double p = count(key.z);
        const double* value = v.row(key.row, row.key_head);
        for (Index c = 0; c < problem.output_dim(); ++c) to[c] += p * value[c];
      }
      all.effective_keys = std::exp(all.entropy);
      all.participation = 1 / squares;
      if (row.self >= 0) {
        all.self_probability = softmax.weight(row.keys[static_cast<std::size_t>(row.self)].z);
      }
    }
    if (lse.present()) *lse.row<double>(row.row, row.head) = row_lse;
    if (statistics.present()) write_statistics<double>(statistics, row.row, row.head, all);
  });
}

}  // namespace annulus::kernels
