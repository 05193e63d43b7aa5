#include <algorithm>

#include "kernels/reference/row_errors.hpp"

namespace annulus::kernels {
namespace {

/// Of probabilities that are computed from weights in the order of the formulas of RowStatistics.
RowStatistics<double> statistics_bounds(const RowErrors& errors, Index self,
                                        const Roundings& roundings) {
  const double u = roundings.sum;
  const auto& keys = errors.keys();
  const double sums = of_additions(std::ssize(keys), roundings, 1).most();
  double entropy = 0;
  double squares = 0;
  for (const auto& key : keys) {
    entropy -= key.p > 0 ? key.p * key.log_p : 0;
    squares += key.p * key.p;
  }
  // dH = - Sum p (ln p + H) dz, and d ln Sum p^2 = 2 Sum (p^2 / Sum p^2 - p) dz.
  RowStatistics<double> bounds{.max_logit = 0};
  double moment = 0;
  double of_squares = 0;
  double highest = errors.softmax().maximum();
  const auto& largest = *std::ranges::max_element(keys, {}, &RoundedKey::z);
  double of_others = 0;
  for (const auto& key : keys) {
    if (&key != &largest) of_others += key.p * (key.error.most() + largest.error.most());
    highest = std::max(highest, key.z + key.error.most());
    if (key.p == 0) continue;
    bounds.entropy += key.p * std::abs(key.log_p + entropy) * key.error.most();
    moment += key.p * (errors.softmax().maximum() - key.z);
    of_squares += 2 * std::abs(key.p * key.p / squares - key.p) * key.error.most();
  }
  const double log_sum = errors.softmax().lse() - errors.softmax().maximum();
  bounds.entropy += 2 * sums * (moment + std::abs(log_sum) + 1);
  bounds.effective_keys = std::exp(entropy) * std::expm1(bounds.entropy + 4 * u * (1 + entropy));
  bounds.participation = std::expm1(of_squares + 4 * sums) / squares;
  bounds.max_probability = largest.p * std::expm1(of_others + errors.of_division().most());
  bounds.max_logit = highest - errors.softmax().maximum();
  if (self >= 0) {
    const auto& own = keys[static_cast<std::size_t>(self)];
    // e^(z - lse), with a rounded lse.
    const double relative =
        own.error.most() + errors.lse().most() + 4 * u * (1 + std::abs(own.log_p));
    bounds.self_probability = own.p * std::expm1(relative) + roundings.least;
  }
  return bounds;
}

/// Errors of out = Sum p v, which are those of factors and additions, and
/// d out = Sum p (v - out) dz.
class OutputErrors {
 public:
  explicit OutputErrors(Index dim)
      : dim_(dim), sums_(1, dim), centred_(1, dim), difference_(static_cast<std::size_t>(dim)) {}

  void write(const DirectRow& row, const RowErrors& errors, const DenseCopy& v,
             const Roundings& roundings, double* to) {
    sums_.clear();
    centred_.clear();
    for (std::size_t j = 0; j < row.keys.size(); ++j) {
      const auto& key = errors.keys()[j];
      sums_.add(0, v.row(row.keys[j].row, row.key_head), key.p, errors.of_factor(key));
    }
    for (std::size_t j = 0; j < row.keys.size(); ++j) {
      const auto& key = errors.keys()[j];
      const double* value = v.row(row.keys[j].row, row.key_head);
      for (Index c = 0; c < dim_; ++c) {
        difference_[static_cast<std::size_t>(c)] = value[c] - sums_.sum(0, c);
      }
      centred_.add(0, difference_.data(), key.p, key.p * key.error);
    }
    if (!std::isinf(row.sink)) {
      const auto& sink = errors.keys().back();
      for (Index c = 0; c < dim_; ++c) {
        difference_[static_cast<std::size_t>(c)] = -sums_.sum(0, c);
      }
      centred_.add(0, difference_.data(), sink.p, sink.p * sink.error);
    }
    for (Index c = 0; c < dim_; ++c) {
      to[c] = (sums_.error(0, c, roundings) + centred_.of_terms(0, c) +
               sums_.sum(0, c) * errors.of_division())
                  .most();
    }
  }

 private:
  Index dim_;
  RoundedSums sums_;
  RoundedSums centred_;
  std::vector<double> difference_;
};

}  // namespace

Roundings Roundings::of(const Kernel& kernel, DataType type) {
  const auto sums = accumulator_of(type);
  const auto factors = kernel.factor_type(type);
  const auto partials = kernel.partial_type(type);
  return {.sum = unit_roundoff(sums) + unit_roundoff(DataType::float64),
          .factor = factors == sums ? 0 : unit_roundoff(factors),
          .partial = partials == sums ? 0 : unit_roundoff(partials),
          .least = factors == DataType::float16 ? 0x1p-25
                   : sums == DataType::float64  ? std::numeric_limits<double>::min()
                                                : std::numeric_limits<float>::min(),
          .longest_sum = kernel.longest_sum(type)};
}

void attention_bounds(const Problem& problem, const WholeInputs& inputs, const Roundings& roundings,
                      TensorView out, TensorView lse, const StatisticsView& statistics) {
  validate(problem);
  const auto q = copy_dense(inputs.q);
  const auto k = copy_dense(inputs.k);
  const auto v = copy_dense(inputs.v);
  OutputErrors errors_of_out(problem.output_dim());
  for_each_direct_row(problem, inputs, q, k, [&](const DirectRow& row) {
    double* to = out.row<double>(row.row, row.head);
    std::fill(to, to + problem.output_dim(), 0.0);
    RowStatistics<double> all{.max_logit = 0};
    double of_lse = 0;
    if (!row.sees_nothing()) {
      const RowErrors errors(row, problem.head_dim, roundings);
      of_lse = errors.lse().most();
      all = statistics_bounds(errors, row.self, roundings);
      errors_of_out.write(row, errors, v, roundings, to);
    }
    if (lse.present()) *lse.row<double>(row.row, row.head) = of_lse;
    if (statistics.present()) write_statistics<double>(statistics, row.row, row.head, all);
  });
}

}  // namespace annulus::kernels
