#pragma once
// Gradients of a whole problem, computed two ways: straight from the definition, and by ranks.

#include <numeric>
#include <random>
#include <vector>

#include "kernels/reference/direct_rows.hpp"
#include "support/whole_problem.hpp"

namespace annulus::test {

/// All gradients of a problem.
template <class T>
struct AllGradients {
  Tensor<T> dq;
  Tensor<T> dk;
  Tensor<T> dv;
  std::vector<double> dgain;
  std::vector<double> dsink;

  explicit AllGradients(const Problem& problem)
      : dq(problem.documents.queries(), problem.query_heads, problem.head_dim),
        dk(problem.documents.keys(), problem.key_heads, problem.head_dim),
        dv(problem.documents.keys(), problem.key_heads, problem.output_dim()),
        dgain(static_cast<std::size_t>(problem.query_heads)),
        dsink(dgain.size()) {}
};

template <class T>
[[nodiscard]] Tensor<T> random_dout(const Problem& problem, unsigned seed = 11) {
  std::mt19937_64 random(seed);
  return random_tensor<T>(random, problem.documents.queries(), problem.query_heads,
                          problem.output_dim());
}

template <class T>
[[nodiscard]] AllGradients<double> direct_gradients_of(const WholeProblem<T>& whole,
                                                       const Tensor<T>& dout) {
  AllGradients<double> all(whole.problem);
  kernels::direct_gradients(whole.problem, inputs_of(whole), dout.view(),
                            {.dq = all.dq.view(),
                             .dk = all.dk.view(),
                             .dv = all.dv.view(),
                             .dgain = all.dgain,
                             .dsink = all.dsink});
  return all;
}

/// For each head, what relative errors of p, of <dout, out> and of dz are relative to in the
/// gradient of the gain, whose own terms cancel: with a = Sum_j p |<dout, v_j>|, which bounds
/// |<dout, out>|, Sum_ij |c beta <q, k_j>| p (|<dout, v_j>| + 2 a).
template <class T>
[[nodiscard]] std::vector<double> sizes_of_gain_gradients(const WholeProblem<T>& whole,
                                                          const Tensor<T>& dout) {
  const auto& problem = whole.problem;
  std::vector<double> sizes(static_cast<std::size_t>(problem.query_heads));
  const auto q = kernels::copy_dense(whole.q.view());
  const auto k = kernels::copy_dense(whole.k.view());
  const auto v = kernels::copy_dense(whole.v.view());
  const auto given = kernels::copy_dense(dout.view());
  kernels::for_each_direct_row(problem, inputs_of(whole), q, k, [&](const kernels::DirectRow& row) {
    if (row.sees_nothing()) return;
    const kernels::DirectSoftmax softmax(row);
    const auto product = [&](const kernels::DirectKey& key) {
      const double* value = v.row(key.row, row.key_head);
      return std::abs(std::inner_product(value, value + problem.output_dim(),
                                         given.row(row.row, row.head), 0.0));
    };
    double mean = 0;
    for (const auto& key : row.keys) mean += softmax.weight(key.z) * product(key);
    for (const auto& key : row.keys) {
      sizes[static_cast<std::size_t>(row.head)] += std::abs(row.scale_per_gain * key.product) *
                                                   softmax.weight(key.z) *
                                                   (product(key) + 2 * mean);
    }
  });
  return sizes;
}

/// Forward and backward by the ranks of `communicator`: writes this rank's rows into `result`,
/// which ranks that are threads may share, and on rank 0 the sums over all. `keep`: whether the
/// backward pass starts from what the forward pass held last.
template <class T>
void gradients_of_rank(const WholeProblem<T>& whole, const Tensor<T>& dout,
                       comm::Communicator& communicator, Spread spread,
                       const kernels::Kernel& kernel, bool keep,
                       AllGradients<Accumulator<T>>& result, int threads = 1) {
  const auto plan = make_plan(whole.problem, communicator.topology(),
                              spread.options(data_type_of<T>, kernel.device()));
  const RankInputs<T> inputs(whole, plan, communicator.rank());
  const auto local_dout = take_rows(dout, inputs.rows);
  RingAttention attention(plan, communicator, kernel, threads);
  PassTensors tensors(plan, communicator.rank(), {.backward = true, .parameters = true});
  tensors.forward(attention, inputs.views());
  if (!keep) tensors.held() = {};
  tensors.backward(attention, inputs.views(local_dout.view()));
  put_rows(result.dq, inputs.rows, tensors.dq());
  put_rows(result.dk, inputs.key_rows, tensors.dk());
  put_rows(result.dv, inputs.key_rows, tensors.dv());
  if (communicator.rank() == 0) {
    std::ranges::copy(tensors.dgain(), result.dgain.begin());
    std::ranges::copy(tensors.dsink(), result.dsink.begin());
  }
}

/// The same by ranks that are threads.
template <class T>
[[nodiscard]] AllGradients<Accumulator<T>> gradients_by_ranks(const WholeProblem<T>& whole,
                                                              const Tensor<T>& dout, int ranks,
                                                              Spread spread,
                                                              const kernels::Kernel& kernel,
                                                              bool keep, int threads = 1) {
  AllGradients<Accumulator<T>> result(whole.problem);
  comm::run_threads(spread.topology(ranks), [&](comm::Communicator& communicator) {
    gradients_of_rank(whole, dout, communicator, spread, kernel, keep, result, threads);
  });
  return result;
}

}  // namespace annulus::test
