#include <algorithm>
#include <vector>

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
  std::vector<KeyProbability> keys;
  for_each_direct_row(problem, inputs, q, k, [&](const DirectRow& row) {
    double* to = out.row<double>(row.row, row.head);
    std::fill(to, to + problem.output_dim(), 0.0);
    if (row.sees_nothing()) {
      if (lse.present()) {
        *lse.row<double>(row.row, row.head) = -std::numeric_limits<double>::infinity();
      }
      write_statistics<double>(statistics, row.row, row.head,
                               [](const Statistic& statistic) { return statistic.of_nothing; });
      return;
    }
    const DirectSoftmax softmax(row);
    keys.clear();
    const auto add = [&](double z) {
      keys.push_back({.z = z, .p = softmax.weight(z), .log_p = softmax.log_weight(z)});
    };
    if (!std::isinf(row.sink)) add(row.sink);
    const std::size_t first = keys.size();
    for (const auto& key : row.keys) {
      add(key.z);
      const double* value = v.row(key.row, row.key_head);
      for (Index c = 0; c < problem.output_dim(); ++c) to[c] += keys.back().p * value[c];
    }
    if (lse.present()) *lse.row<double>(row.row, row.head) = softmax.lse();
    const auto* self = row.self < 0 ? nullptr : &keys[first + static_cast<std::size_t>(row.self)];
    const Probabilities probabilities{
        .keys = keys, .self = self, .maximum = softmax.maximum(), .lse = softmax.lse()};
    write_statistics<double>(statistics, row.row, row.head, [&](const Statistic& statistic) {
      return statistic.of_probabilities(probabilities);
    });
  });
}

}  // namespace annulus::kernels
