#pragma once
// What gradients cost in 16 bits: from the definition in fp64, with only the weights of the
// products rounded, and how far such a rounding can move each number.

#include <cmath>
#include <vector>

#include "annulus/kernels/reference.hpp"
#include "kernels/reference/direct_rows.hpp"
#include "support/whole_problem.hpp"

namespace annulus::test {

/// Numbers like those of a backward pass.
struct KernelGradients {
  Tensor<double> dq;
  Tensor<double> dk;
  Tensor<double> dv;
  Tensor<double> dscale;  ///< (rows, H, 1)

  explicit KernelGradients(const Problem& problem)
      : dq(problem.documents.queries(), problem.query_heads, problem.head_dim),
        dk(problem.documents.keys(), problem.key_heads, problem.head_dim),
        dv(problem.documents.keys(), problem.key_heads, problem.output_dim()),
        dscale(problem.documents.queries(), problem.query_heads, 1) {}
};

struct RoundedGradients {
  KernelGradients exact;
  KernelGradients rounded;  ///< with p, dz and scale dz rounded where they are weights
  KernelGradients sizes;    ///< bounds of the error, in units of the roundoff of a weight
};

/// `round`: what becomes of a weight.
template <class T, class Round>
[[nodiscard]] RoundedGradients rounded_gradients(const WholeProblem<T>& whole,
                                                 const Tensor<T>& dout, Round round) {
  const auto& problem = whole.problem;
  RoundedGradients all{KernelGradients(problem), KernelGradients(problem),
                       KernelGradients(problem)};
  const kernels::WholeInputs inputs{.q = whole.q.view(),
                                    .k = whole.k.view(),
                                    .v = whole.v.view(),
                                    .gain = whole.gain,
                                    .sink = whole.sink,
                                    .table = whole.table};
  const auto q = kernels::copy_dense(whole.q.view());
  const auto k = kernels::copy_dense(whole.k.view());
  const auto v = kernels::copy_dense(whole.v.view());
  const auto given = kernels::copy_dense(dout.view());
  /// Adds factor * weight * from. `error`: of the weight, in units of the roundoff.
  const auto add = [&](auto member, Index i, Index h, double factor, double weight, double error,
                       const double* from) {
    auto& exact = all.exact.*member;
    for (Index c = 0; c < exact.dim; ++c) {
      exact.at(i, h, c) += factor * weight * from[c];
      (all.rounded.*member).at(i, h, c) += factor * round(weight) * from[c];
      (all.sizes.*member).at(i, h, c) += std::abs(factor * error * from[c]);
    }
  };
  kernels::for_each_direct_row(problem, inputs, q, k, [&](const kernels::DirectRow& row) {
    if (row.sees_nothing()) return;
    const kernels::DirectSoftmax softmax(row);
    const double* dout_row = given.row(row.row, row.head);
    const double* q_row = q.row(row.row, row.head);
    std::vector<double> products;
    double mean = 0;
    double mean_error = 0;  // of <dout, out>, whose out was summed with rounded weights
    for (const auto& key : row.keys) {
      const double* v_row = v.row(key.row, row.key_head);
      double product = 0;
      for (Index c = 0; c < problem.output_dim(); ++c) product += dout_row[c] * v_row[c];
      products.push_back(product);
      mean += softmax.weight(key.z) * product;
      mean_error += softmax.weight(key.z) * std::abs(product);
    }
    for (std::size_t j = 0; j < row.keys.size(); ++j) {
      const auto& key = row.keys[j];
      const double p = softmax.weight(key.z);
      const double dz = p * (products[j] - mean);
      const double error = std::abs(dz) + p * mean_error;
      add(&KernelGradients::dv, key.row, row.key_head, 1, p, p, dout_row);
      add(&KernelGradients::dq, row.row, row.head, row.scale, dz, error,
          k.row(key.row, row.key_head));
      add(&KernelGradients::dk, key.row, row.key_head, 1, row.scale * dz, row.scale * error, q_row);
      add(&KernelGradients::dscale, row.row, row.head, 1, dz, error, &key.product);
    }
  });
  return all;
}

}  // namespace annulus::test
