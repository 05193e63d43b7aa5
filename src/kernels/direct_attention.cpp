#include <cmath>
#include <vector>

#include "annulus/base/error.hpp"
#include "annulus/kernels/reference.hpp"
#include "kernels/dense_copy.hpp"

namespace annulus::kernels {
namespace {

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

/// One more or less key with logit z and no value: a sink, or a key.
struct Weighted {
  double z;
  const double* value;  // null for a sink
};

/// Softmax in two passes over a row whose entries are all known.
RowStatistics<double> softmax_row(const std::vector<Weighted>& entries, double self_logit,
                                  double* out, Index value_dim, double& lse) {
  std::fill(out, out + value_dim, 0.0);
  lse = minus_infinity;
  if (entries.empty()) return {};
  double maximum = minus_infinity;
  for (const auto& entry : entries) maximum = std::max(maximum, entry.z);
  double sum = 0;
  for (const auto& entry : entries) sum += std::exp(entry.z - maximum);
  lse = maximum + std::log(sum);
  RowStatistics<double> row{.max_logit = maximum};
  double squares = 0;
  for (const auto& entry : entries) {
    const double p = std::exp(entry.z - maximum) / sum;
    row.entropy -= p > 0 ? p * (entry.z - maximum - std::log(sum)) : 0;
    row.max_probability = std::max(row.max_probability, p);
    squares += p * p;
    for (Index c = 0; entry.value != nullptr && c < value_dim; ++c) out[c] += p * entry.value[c];
  }
  row.effective_keys = std::exp(row.entropy);
  row.participation = 1 / squares;
  row.self_probability = std::exp(self_logit - maximum) / sum;
  return row;
}

}  // namespace

void direct_attention(const Problem& problem, const WholeInputs& inputs, TensorView out,
                      TensorView lse, const StatisticsView& statistics) {
  validate(problem);
  const auto q = copy_dense(inputs.q);
  const auto k = copy_dense(inputs.k);
  const auto v = copy_dense(inputs.v);
  const Index d = problem.head_dim;
  const double base = problem.logit_scale.base(d);
  std::vector<Weighted> entries;
  for (Index document = 0; document < problem.documents.count(); ++document) {
    for (Index i = 0; i < problem.documents.query_length(document); ++i) {
      const Index row = problem.documents.query_offset(document) + i;
      const auto place = place_of(problem, document, i);
      for (Index h = 0; h < problem.query_heads; ++h) {
        const auto head = static_cast<std::size_t>(h);
        const auto at = static_cast<std::size_t>(row * problem.query_heads + h);
        const double beta =
            problem.logit_scale.is_table() ? inputs.table[at] : problem.logit_scale.beta(place, d);
        const double gain = inputs.gain.empty() ? 1.0 : inputs.gain[head];
        entries.clear();
        if (!inputs.sink.empty() && inputs.sink[head] != minus_infinity) {
          entries.push_back({inputs.sink[head], nullptr});
        }
        double self_logit = minus_infinity;
        for (Index j = 0; j < problem.documents.key_length(document); ++j) {
          const Index reach = j - place.position;
          if (reach < -problem.mask.left() || reach > problem.mask.right()) continue;
          const Index key = problem.documents.key_offset(document) + j;
          const double* query_row = q.row(row, h);
          const double* key_row = k.row(key, h / problem.group());
          double product = 0;
          for (Index c = 0; c < d; ++c) product += query_row[c] * key_row[c];
          const double z = gain * base * beta * product;
          if (reach == 0) self_logit = z;
          entries.push_back({z, v.row(key, h / problem.group())});
        }
        double row_lse = 0;
        const auto row_statistics = softmax_row(entries, self_logit, out.row<double>(row, h),
                                                problem.output_dim(), row_lse);
        if (lse.present()) *lse.row<double>(row, h) = row_lse;
        if (statistics.present()) write_statistics(statistics, row, h, row_statistics);
      }
    }
  }
}

}  // namespace annulus::kernels
