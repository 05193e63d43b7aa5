#include "studies/gradient_norm.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/blas_threads.hpp"
#include "studies/dense_product.hpp"

namespace annulus::studies {
namespace {

/// All ranks' rows, one rank after the other.
std::vector<double> gather(comm::Communicator& communicator, const std::vector<double>& own) {
  std::vector<double> all;
  for (const auto& part : communicator.all_gather(std::as_bytes(std::span(own)))) {
    const auto begin = all.size();
    all.resize(begin + part.size() / sizeof(double));
    if (!part.empty()) std::memcpy(all.data() + begin, part.data(), part.size());
  }
  return all;
}

double dot(const double* a, const double* b, Index size) {
  return std::inner_product(a, a + size, b, 0.0);
}

/// For each row, y y^T as the d (d+1) / 2 numbers whose squares add up to |y y^T|_F^2: entries
/// above the diagonal count twice.
Matrix outer_products(const Matrix& y) {
  const Index d = y.columns;
  Matrix features(y.rows, d * (d + 1) / 2);
  const double root = std::sqrt(2.0);
  for (Index i = 0; i < y.rows; ++i) {
    const double* from = y.row(i);
    double* to = features.row(i);
    for (Index a = 0; a < d; ++a) {
      *to++ = from[a] * from[a];
      for (Index b = a + 1; b < d; ++b) *to++ = root * from[a] * from[b];
    }
  }
  return features;
}

/// |M_i|_F^2 of M_i = Sum_j A_ij y_j y_j^T, for each row of `weights`: through the entries of M_i,
/// or as Sum_jk A_ij A_ik <y_j, y_k>^2, whichever is less work.
class SecondMoments {
 public:
  explicit SecondMoments(const Matrix& y) : y_(y) {
    if (y.columns * (y.columns + 1) / 2 <= y.rows) features_ = outer_products(y);
  }

  [[nodiscard]] std::vector<double> squared_norms(const Matrix& weights) const {
    std::vector<double> norms(static_cast<std::size_t>(weights.rows));
    if (features_.rows > 0) {
      const auto moments = product(all_of(weights), all_of(features_));
      for (Index i = 0; i < weights.rows; ++i) {
        norms[static_cast<std::size_t>(i)] = dot(moments.row(i), moments.row(i), moments.columns);
      }
      return norms;
    }
    constexpr Index panel = 512;
    for (Index begin = 0; begin < y_.rows; begin += panel) {
      const Index count = std::min(panel, y_.rows - begin);
      auto squares = product_transposed(all_of(y_), rows_of(y_, begin, count));
      for (double& value : squares.values) value *= value;
      const auto sums = product(all_of(weights), all_of(squares));
      for (Index i = 0; i < weights.rows; ++i) {
        norms[static_cast<std::size_t>(i)] += dot(sums.row(i), weights.row(i) + begin, count);
      }
    }
    return norms;
  }

 private:
  const Matrix& y_;
  Matrix features_;
};

/// Softmax of beta times each row.
Matrix softmax_rows(const Matrix& cosines, double beta) {
  Matrix weights(cosines.rows, cosines.columns);
  for (Index i = 0; i < cosines.rows; ++i) {
    const double* from = cosines.row(i);
    double* to = weights.row(i);
    const double largest = *std::max_element(from, from + cosines.columns);
    double sum = 0;
    for (Index j = 0; j < cosines.columns; ++j) sum += to[j] = std::exp(beta * (from[j] - largest));
    for (Index j = 0; j < cosines.columns; ++j) to[j] /= sum;
  }
  return weights;
}

/// The sum of |J_ik|^2 over all keys k and the queries i in [begin, begin + count).
double sum_of_squares(const Matrix& y, const std::vector<double>& norms,
                      const SecondMoments& moments, const GradientNormInputs& inputs, Index begin,
                      Index count) {
  const Index n = y.rows;
  const Index d = y.columns;
  const double beta = inputs.beta;
  const double residual = inputs.residual;
  const auto directions = static_cast<double>(d - 1);
  const auto queries = rows_of(y, begin, count);
  const auto cosines = product_transposed(queries, all_of(y));
  const auto weights = softmax_rows(cosines, beta);
  auto tilted = weights;  // A_ij <y_i, y_j>
  for (std::size_t at = 0; at < tilted.values.size(); ++at) {
    tilted.values[at] *= cosines.values[at];
  }
  const auto out = product(all_of(weights), all_of(y));
  const auto tilted_out = product(all_of(tilted), all_of(y));          // M_i y_i
  const auto alignments = product_transposed(all_of(out), all_of(y));  // <o_i, y_k>
  const auto moment_norms = moments.squared_norms(weights);

  double total = 0;
  for (Index i = 0; i < count; ++i) {
    const double* a = weights.row(i);
    const double* s = cosines.row(i);
    const double* r = alignments.row(i);
    const Index self = begin + i;
    const double o_square = dot(out.row(i), out.row(i), d);
    const double o_self = r[self];  // <o_i, y_i>

    double moment_of_o = 0;  // o^T M o
    double self_square = 0;  // y^T M y
    for (Index k = 0; k < n; ++k) {
      moment_of_o += a[k] * r[k] * r[k];
      self_square += a[k] * s[k] * s[k];
      if (k == self) continue;
      const double across = 1 - s[k] * s[k];
      const double bracket = directions - 2 * beta * (o_self - s[k] * r[k]) +
                             beta * beta * (1 - 2 * r[k] + o_square) * across;
      const double x = norms[static_cast<std::size_t>(k)];
      total += a[k] * a[k] * bracket / (x * x);
    }
    double c_y_square = 0;  // |C y|^2 with C y = M y - o <o, y>
    for (Index c = 0; c < d; ++c) {
      const double value = tilted_out.row(i)[c] - out.row(i)[c] * o_self;
      c_y_square += value * value;
    }
    const double c_square =
        moment_norms[static_cast<std::size_t>(i)] - 2 * moment_of_o + o_square * o_square;
    const double trace = (1 - o_square) - (self_square - o_self * o_self);  // tr(C Pi)
    const double square = c_square - c_y_square;                            // tr(C Pi C)
    const double x = norms[static_cast<std::size_t>(self)];
    total += (a[self] * a[self] * directions + 2 * beta * a[self] * trace + beta * beta * square) /
                 (x * x) +
             2 * residual * (a[self] * directions + beta * trace) / x +
             residual * residual * static_cast<double>(d);
  }
  return total;
}

}  // namespace

double gradient_norm(comm::Communicator& communicator, const GradientNormInputs& inputs,
                     int threads) {
  set_blas_threads(threads);
  const Index d = inputs.y.dim;
  Matrix y;
  y.rows = inputs.n;
  y.columns = d;
  y.values = gather(communicator, inputs.y.values);
  const auto norms = gather(communicator, inputs.norms);
  const SecondMoments moments(y);

  const Index own = inputs.y.count();
  const Index begin = inputs.n * communicator.rank() / communicator.size();
  // A panel of queries holds a few matrices of this many numbers.
  constexpr Index panel_numbers = Index{1} << 23;
  const Index panel = std::clamp<Index>(panel_numbers / inputs.n, 16, 4096);
  double total = 0;
  for (Index at = 0; at < own; at += panel) {
    total += sum_of_squares(y, norms, moments, inputs, begin + at, std::min(panel, own - at));
  }
  return sum_over_ranks(communicator, total) /
         (static_cast<double>(inputs.n) * static_cast<double>(d));
}

}  // namespace annulus::studies
