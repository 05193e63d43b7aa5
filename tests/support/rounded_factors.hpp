#pragma once
// The reference of the same precision for products of 16 bits: all is fp64, except that what
// multiplies values, keys, queries and dout is rounded to the type of the inputs first.

#include "kernels/reference/direct_rows.hpp"
#include "support/gradients.hpp"

namespace annulus::test {

template <class T>
[[nodiscard]] double rounded_factor(double value) {
  return static_cast<double>(T(value));
}

/// out and gradients of `whole`, from the definition but for the rounded factors: e^(z - m), p, dz
/// and scale dz.
struct WithRoundedFactors {
  Tensor<double> out;
  AllGradients<double> gradients;
};

template <class T>
[[nodiscard]] WithRoundedFactors with_rounded_factors(const WholeProblem<T>& whole,
                                                      const Tensor<T>& dout) {
  const auto& problem = whole.problem;
  const Index d = problem.head_dim;
  const Index d_v = problem.output_dim();
  WithRoundedFactors result{
      .out = {problem.documents.queries(), problem.query_heads, d_v},
      .gradients = AllGradients<double>(problem),
  };
  auto& gradients = result.gradients;
  const auto dot = [](const T* a, const auto* b, Index size) {
    double sum = 0;
    for (Index c = 0; c < size; ++c) sum += static_cast<double>(a[c]) * static_cast<double>(b[c]);
    return sum;
  };
  const auto add = [](double* to, double factor, const T* from, Index size) {
    for (Index c = 0; c < size; ++c) to[c] += factor * static_cast<double>(from[c]);
  };
  const auto inputs = inputs_of(whole);
  kernels::for_each_direct_row(
      problem, inputs, kernels::copy_dense(inputs.q), kernels::copy_dense(inputs.k),
      [&](const kernels::DirectRow& row) {
        if (row.sees_nothing()) return;
        const kernels::DirectSoftmax softmax(row);
        const double largest = softmax.weight(softmax.maximum());
        const T* dout_row = &dout.at(row.row, row.head, 0);
        double* out = &result.out.at(row.row, row.head, 0);
        for (const auto& key : row.keys) {
          add(out, largest * rounded_factor<T>(softmax.weight(key.z) / largest),
              &whole.v.at(key.row, row.key_head, 0), d_v);
        }
        const double mean = dot(dout_row, out, d_v);
        for (const auto& key : row.keys) {
          const double p = softmax.weight(key.z);
          const double dz = p * (dot(dout_row, &whole.v.at(key.row, row.key_head, 0), d_v) - mean);
          add(&gradients.dv.at(key.row, row.key_head, 0), rounded_factor<T>(p), dout_row, d_v);
          add(&gradients.dk.at(key.row, row.key_head, 0), rounded_factor<T>(row.scale * dz),
              &whole.q.at(row.row, row.head, 0), d);
          add(&gradients.dq.at(row.row, row.head, 0), row.scale * rounded_factor<T>(dz),
              &whole.k.at(key.row, row.key_head, 0), d);
        }
      });
  return result;
}

}  // namespace annulus::test
