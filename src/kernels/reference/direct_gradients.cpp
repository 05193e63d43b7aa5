#include <algorithm>

#include "kernels/reference/direct_rows.hpp"

namespace annulus::kernels {
namespace {

void set_zero(TensorView view) {
  for (Index i = 0; i < view.rows; ++i) {
    for (Index h = 0; h < view.heads; ++h) std::fill_n(view.row<double>(i, h), view.dim, 0.0);
  }
}

void add(double* to, double factor, const double* from, Index size) {
  for (Index c = 0; c < size; ++c) to[c] += factor * from[c];
}

double dot(const double* a, const double* b, Index size) {
  double sum = 0;
  for (Index c = 0; c < size; ++c) sum += a[c] * b[c];
  return sum;
}

}  // namespace

void direct_gradients(const Problem& problem, const WholeInputs& inputs, ConstTensorView dout,
                      const WholeGradients& gradients) {
  validate(problem);
  const auto q = copy_dense(inputs.q);
  const auto k = copy_dense(inputs.k);
  const auto v = copy_dense(inputs.v);
  const auto given = copy_dense(dout);
  const Index d = problem.head_dim;
  const Index d_v = problem.output_dim();
  for (const auto& view : {gradients.dq, gradients.dk, gradients.dv}) set_zero(view);
  std::ranges::fill(gradients.dgain, 0.0);
  std::ranges::fill(gradients.dsink, 0.0);
  std::vector<double> weights;
  std::vector<double> products;  // <dout, v>
  for_each_direct_row(problem, inputs, q, k, [&](const DirectRow& row) {
    if (row.sees_nothing()) return;
    const DirectSoftmax softmax(row);
    const double* dout_row = given.row(row.row, row.head);
    weights.clear();
    products.clear();
    double mean = 0;  // <dout, out>
    for (const auto& key : row.keys) {
      weights.push_back(softmax.weight(key.z));
      products.push_back(dot(dout_row, v.row(key.row, row.key_head), d_v));
      mean += weights.back() * products.back();
    }
    const auto head = static_cast<std::size_t>(row.head);
    for (std::size_t j = 0; j < row.keys.size(); ++j) {
      const auto& key = row.keys[j];
      const double dz = weights[j] * (products[j] - mean);
      add(gradients.dv.row<double>(key.row, row.key_head), weights[j], dout_row, d_v);
      add(gradients.dq.row<double>(row.row, row.head), row.scale * dz, k.row(key.row, row.key_head),
          d);
      add(gradients.dk.row<double>(key.row, row.key_head), row.scale * dz, q.row(row.row, row.head),
          d);
      if (!gradients.dgain.empty()) {
        gradients.dgain[head] += row.scale_per_gain * key.product * dz;
      }
    }
    if (!gradients.dsink.empty() && !std::isinf(row.sink)) {
      gradients.dsink[head] -= softmax.weight(row.sink) * mean;
    }
  });
}

}  // namespace annulus::kernels
