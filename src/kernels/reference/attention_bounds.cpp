#include <algorithm>

#include "kernels/reference/row_errors.hpp"

namespace annulus::kernels {
namespace {

/// Bounds of the statistics of a row that sees something.
void write_bounds(const StatisticsView& to, const DirectRow& row, const RowErrors& errors,
                  const Roundings& roundings) {
  std::vector<KeyProbability> keys;
  for (const auto& key : errors.keys()) {
    keys.push_back({.z = key.z, .p = key.p, .log_p = key.log_p, .error = key.error.most()});
  }
  const Probabilities probabilities{
      .keys = keys,
      .self = row.self < 0 ? nullptr : &keys[static_cast<std::size_t>(row.self)],
      .maximum = errors.softmax().maximum(),
      .lse = errors.softmax().lse()};
  const RowRoundings of_row{.unit = roundings.sum,
                            .additions = of_additions(std::ssize(keys), roundings, 1).most(),
                            .division = errors.of_division().most(),
                            .lse = errors.lse().most(),
                            .least = roundings.least};
  write_statistics<double>(to, row.row, row.head, [&](const Statistic& statistic) {
    return statistic.bound(probabilities, of_row);
  });
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
    if (row.sees_nothing()) {
      if (lse.present()) *lse.row<double>(row.row, row.head) = 0;
      write_statistics<double>(statistics, row.row, row.head,
                               [](const Statistic& /*statistic*/) { return 0.0; });
      return;
    }
    const RowErrors errors(row, problem.head_dim, roundings);
    errors_of_out.write(row, errors, v, roundings, to);
    if (lse.present()) *lse.row<double>(row.row, row.head) = errors.lse().most();
    write_bounds(statistics, row, errors, roundings);
  });
}

}  // namespace annulus::kernels
