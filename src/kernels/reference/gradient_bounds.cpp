#include <algorithm>
#include <numeric>

#include "kernels/reference/row_errors.hpp"

namespace annulus::kernels {
namespace {

/// What is summed over the keys of one row.
struct RowSums {
  RoundedSums mean;              ///< p <dout, v>
  RoundedSums centred;           ///< p (<dout, v> - <dout, out>)
  RoundedSums dz_keys;           ///< dz k
  RoundedSums dz_scores;         ///< dz <q, k>
  RoundedSums dz_products;       ///< q_c dz k_c, over the components as well
  std::vector<double> out;       ///< p v
  std::vector<double> squares;   ///< p^2 v^2
  std::vector<double> keys;      ///< p k
  double scores = 0;             ///< p <q, k>
  std::vector<double> products;  ///< <dout, v> of each key
  std::vector<double> sizes;     ///< Sum_c |dout_c v_c|, likewise
  RoundingError mean_error;      ///< of <dout, out>

  RowSums(Index d, Index d_v)
      : mean(1, 1),
        centred(1, 1),
        dz_keys(1, d),
        dz_scores(1, 1),
        dz_products(1, 1),
        out(static_cast<std::size_t>(d_v)),
        squares(out.size()),
        keys(static_cast<std::size_t>(d)) {}

  void clear() {
    for (auto* sums : {&mean, &centred, &dz_keys, &dz_scores, &dz_products}) sums->clear();
    for (auto* sums : {&out, &squares, &keys}) std::ranges::fill(*sums, 0.0);
    scores = 0;
    products.clear();
    sizes.clear();
  }
};

double norm(const double* x, Index size) {
  double square = 0;
  for (Index c = 0; c < size; ++c) square += x[c] * x[c];
  return std::sqrt(square);
}

void add(std::vector<double>& to, double factor, const double* HWY_RESTRICT from) {
  double* HWY_RESTRICT sums = to.data();
  for (std::size_t c = 0; c < to.size(); ++c) sums[c] += factor * from[c];
}

/// Errors of the gradients of a whole problem, which grow row by row.
class GradientErrors {
 public:
  GradientErrors(const Problem& problem, const WholeInputs& inputs, ConstTensorView dout,
                 const Roundings& roundings)
      : key_heads_(problem.key_heads),
        grouped_(problem.query_heads > problem.key_heads),
        d_(problem.head_dim),
        d_v_(problem.output_dim()),
        roundings_(roundings),
        k_(copy_dense(inputs.k)),
        v_(copy_dense(inputs.v)),
        dout_(copy_dense(dout)),
        dk_(problem.documents.keys() * key_heads_, d_, most_steps),
        dv_(problem.documents.keys() * key_heads_, d_v_, most_steps),
        dgain_(problem.query_heads, 1),
        dsink_(problem.query_heads, 1),
        sums_(d_, d_v_) {}

  /// Adds what a row that sees something gives, and writes the bounds of its dq.
  void add_row(const DirectRow& row, const double* q, double* dq) {
    const RowErrors errors(row, d_, roundings_);
    const double* dout = dout_.row(row.row, row.head);
    sums_.clear();
    sum_mean(row, errors, dout);
    for (std::size_t j = 0; j < row.keys.size(); ++j) add_key(row, errors, j, q, dout);
    finish_row(row, errors, q, dq);
  }

  void write(const WholeGradients& bounds) const {
    const auto write_rows = [&](TensorView view, const RoundedSums& sums) {
      for (Index i = 0; i < view.rows; ++i) {
        for (Index h = 0; h < view.heads; ++h) {
          double* to = view.row<double>(i, h);
          const Index row = i * view.heads + h;
          for (Index c = 0; c < view.dim; ++c) {
            to[c] = (sums.error(row, c, roundings_) + of_key_parts(sums, row, c)).most();
          }
        }
      }
    };
    const auto write_heads = [&](std::span<double> to, const RoundedSums& sums) {
      for (std::size_t h = 0; h < to.size(); ++h) {
        to[h] = sums.error(static_cast<Index>(h), 0, roundings_).most();
      }
    };
    write_rows(bounds.dk, dk_);
    write_rows(bounds.dv, dv_);
    write_heads(bounds.dgain, dgain_);
    write_heads(bounds.dsink, dsink_);
  }

 private:
  [[nodiscard]] RoundingError few_of(double number) const {
    return few_roundings(roundings_.sum, std::abs(number));
  }
  /// Of p = e^(z - lse) without that of lse, relative.
  [[nodiscard]] RoundingError of_weight(const RoundedKey& key) const {
    return key.error + few_of(key.log_p) + few_of(2);
  }
  /// Of a factor that is rounded, and of one that vanishes.
  [[nodiscard]] RoundingError of_factor(double factor) const {
    return {std::abs(factor) * roundings_.factor + roundings_.least, 0};
  }
  /// Of one that is multiplied by a scale before or after it is rounded.
  [[nodiscard]] RoundingError of_factor(double factor, double scale) const {
    const double least = roundings_.least / std::min(1.0, std::abs(scale));
    return of_factor(factor) + RoundingError{roundings_.partial > 0 ? least : 0, 0};
  }

  /// Of gradients over some of the keys or queries, of numbers that are multiplied by `factor`
  /// before they are rounded.
  [[nodiscard]] RoundingError of_parts(const RoundedSums& sums, Index row, Index c,
                                       double factor = 1) const {
    if (roundings_.partial == 0) return {};
    return sums.of_parts(row, c, roundings_.partial, roundings_.least / std::abs(factor));
  }
  /// Where query heads share a key head, those of each are rounded, and so is their sum.
  [[nodiscard]] RoundingError of_key_parts(const RoundedSums& sums, Index row, Index c) const {
    const auto once = of_parts(sums, row, c);
    return grouped_ ? once + once : once;
  }

  /// <dout, out>, with an out that has errors: those of probabilities and factors are common to its
  /// components, those of additions are not; with |dout| |x| for Sum_c |dout_c x_c| in these.
  void sum_mean(const DirectRow& row, const RowErrors& errors, const double* dout) {
    const double u = roundings_.sum;
    for (std::size_t j = 0; j < row.keys.size(); ++j) {
      const auto& key = errors.keys()[j];
      const double* v = v_.row(row.keys[j].row, row.key_head);
      double product = 0;
      double size = 0;
      double* HWY_RESTRICT squares = sums_.squares.data();
      for (Index c = 0; c < d_v_; ++c) {
        product += dout[c] * v[c];
        size += std::abs(dout[c] * v[c]);
        squares[c] += key.p * key.p * v[c] * v[c];
      }
      sums_.products.push_back(product);
      sums_.sizes.push_back(size);
      add(sums_.out, key.p, v);
      sums_.mean.add(0, &product, key.p, errors.of_factor(key));
    }
    const double mean = sums_.mean.sum(0, 0);
    for (std::size_t j = 0; j < errors.keys().size(); ++j) {
      const auto& key = errors.keys()[j];  // the sink has a value of 0
      const double difference = (j < row.keys.size() ? sums_.products[j] : 0) - mean;
      sums_.centred.add(0, &difference, key.p, key.p * key.error);
    }
    const double dout_size = norm(dout, d_v_);
    const double out_size = norm(sums_.out.data(), d_v_);
    const double out_square = std::accumulate(sums_.squares.begin(), sums_.squares.end(), 0.0);
    const double reach = out_size + lambda * std::sqrt(out_square);
    sums_.mean_error = sums_.mean.error(0, 0, roundings_) + sums_.centred.of_terms(0, 0) +
                       mean * errors.of_division() +
                       of_additions(std::ssize(row.keys), roundings_, dout_size * reach) +
                       of_product(d_v_, u, dout_size * out_size) + few_of(dout_size * out_size) +
                       of_rounded_out(mean, dout, dout_size);
  }

  /// Of <dout, out> where outputs over some of the keys have been rounded, and where gradients over
  /// some of them are computed with rounded elements whose products with dout have one sign.
  [[nodiscard]] RoundingError of_rounded_out(double mean, const double* dout,
                                             double dout_size) const {
    if (roundings_.partial == 0) return {};
    double square = 0;
    for (Index c = 0; c < d_v_; ++c) {
      const auto at = static_cast<std::size_t>(c);
      const double own = std::sqrt(sums_.squares[at]) + std::abs(sums_.out[at]) / lambda;
      square += dout[c] * dout[c] * own * own;
    }
    return RoundingError{roundings_.partial * std::sqrt(square), 0} +
           RoundingError{roundings_.partial * std::abs(mean) + roundings_.least * dout_size, 0};
  }

  /// p = e^(z - lse), dz = p (<dout, v> - <dout, out>). The errors of lse and <dout, out> are
  /// common to the row: over the queries of a key they are as independent as others.
  void add_key(const DirectRow& row, const RowErrors& errors, std::size_t j, const double* q,
               const double* dout) {
    const auto& key = errors.keys()[j];
    const double mean = sums_.mean.sum(0, 0);
    const double dz = key.p * (sums_.products[j] - mean);
    const auto of_p = of_weight(key);
    const auto of_dz = dz * of_p + of_factor(dz, row.scale) +
                       key.p * (of_product(d_v_, roundings_.sum, sums_.sizes[j]) +
                                few_of(sums_.products[j]) + few_of(mean));
    const double* k = k_.row(row.keys[j].row, row.key_head);
    sums_.dz_keys.add(0, k, dz, of_dz);
    sums_.dz_scores.add(0, &row.keys[j].product, dz, of_dz);
    add(sums_.keys, key.p, k);
    sums_.scores += key.p * row.keys[j].product;
    const Index to = row.keys[j].row * key_heads_ + row.key_head;
    dk_.add(to, q, row.scale * dz,
            row.scale * (of_dz + dz * errors.lse() + key.p * sums_.mean_error) + of_factor(0));
    dv_.add(to, dout, key.p, key.p * (of_p + errors.lse()) + of_factor(key.p));
  }

  /// Of Sum dz x over the keys of the row, given Sum p x.
  [[nodiscard]] RoundingError of_row(const RoundedSums& dz, Index c, double with_weights_p,
                                     const RowErrors& errors) const {
    const double sum = dz.sum(0, c);
    return dz.error(0, c, roundings_) + sum * errors.lse() + few_of(sum) +
           with_weights_p * sums_.mean_error;
  }

  void finish_row(const DirectRow& row, const RowErrors& errors, const double* q, double* dq) {
    constexpr double one = 1;
    for (Index c = 0; c < d_; ++c) {
      const double mean_key = sums_.keys[static_cast<std::size_t>(c)];
      const auto rounded = of_parts(sums_.dz_keys, 0, c, row.scale);
      dq[c] = (row.scale * (of_row(sums_.dz_keys, c, mean_key, errors) + rounded)).most();
      sums_.dz_products.add(0, &one, q[c] * sums_.dz_keys.sum(0, c),
                            q[c] * (sums_.dz_keys.of_additions(0, c, roundings_) + rounded));
    }
    // Sum dz <q, k> is computed as <q, Sum dz k>.
    const auto of_score = of_row(sums_.dz_scores, 0, sums_.scores, errors) +
                          sums_.dz_products.error(0, 0, roundings_);
    dgain_.add(row.head, &one, row.scale_per_gain * sums_.dz_scores.sum(0, 0),
               row.scale_per_gain * of_score);
    if (std::isinf(row.sink)) return;
    const auto& sink = errors.keys().back();
    const double mean = sums_.mean.sum(0, 0);
    dsink_.add(row.head, &one, -sink.p * mean,
               sink.p * (mean * (of_weight(sink) + errors.lse()) + sums_.mean_error) +
                   RoundingError{roundings_.least, 0});
  }

  Index key_heads_;
  bool grouped_;
  Index d_;
  Index d_v_;
  Roundings roundings_;
  DenseCopy k_;
  DenseCopy v_;
  DenseCopy dout_;
  RoundedSums dk_;
  RoundedSums dv_;
  RoundedSums dgain_;
  RoundedSums dsink_;
  RowSums sums_;
};

}  // namespace

void gradient_bounds(const Problem& problem, const WholeInputs& inputs, ConstTensorView dout,
                     const Roundings& roundings, const WholeGradients& bounds) {
  validate(problem);
  const auto q = copy_dense(inputs.q);
  const auto k = copy_dense(inputs.k);
  GradientErrors errors(problem, inputs, dout, roundings);
  for_each_direct_row(problem, inputs, q, k, [&](const DirectRow& row) {
    double* dq = bounds.dq.row<double>(row.row, row.head);
    std::fill(dq, dq + problem.head_dim, 0.0);
    if (!row.sees_nothing()) errors.add_row(row, q.row(row.row, row.head), dq);
  });
  errors.write(bounds);
}

}  // namespace annulus::kernels
