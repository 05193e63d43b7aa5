#pragma once
// Gradients of a whole problem, computed two ways: straight from the definition, and by ranks.

#include <random>
#include <vector>

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

/// How far from exact a backend with such roundings may be.
template <class T>
[[nodiscard]] AllGradients<double> gradient_bounds_of(const WholeProblem<T>& whole,
                                                      const Tensor<T>& dout,
                                                      const kernels::Roundings& roundings) {
  AllGradients<double> bounds(whole.problem);
  kernels::gradient_bounds(whole.problem, inputs_of(whole), dout.view(), roundings,
                           {.dq = bounds.dq.view(),
                            .dk = bounds.dk.view(),
                            .dv = bounds.dv.view(),
                            .dgain = bounds.dgain,
                            .dsink = bounds.dsink});
  return bounds;
}

template <class T>
[[nodiscard]] AllGradients<double> gradient_bounds_of(const WholeProblem<T>& whole,
                                                      const Tensor<T>& dout,
                                                      const kernels::Kernel& kernel) {
  return gradient_bounds_of(whole, dout, kernels::Roundings::of(kernel, data_type_of<T>));
}

/// Forward and backward by the ranks of `communicator`: writes this rank's rows into `result`,
/// which ranks that are threads may share, and on rank 0 the sums over all. `keep`: whether the
/// backward pass starts from what the forward pass held last.
template <class T>
void gradients_of_rank(const WholeProblem<T>& whole, const Tensor<T>& dout,
                       comm::Communicator& communicator, const Plan& plan,
                       const kernels::Kernel& kernel, bool keep,
                       AllGradients<Accumulator<T>>& result, int threads = 1) {
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
  const auto topology = spread.topology(ranks);
  const auto plan = plan_by(kernel, whole, topology, spread);
  comm::run_threads(topology, [&](comm::Communicator& communicator) {
    gradients_of_rank(whole, dout, communicator, plan, kernel, keep, result, threads);
  });
  return result;
}

}  // namespace annulus::test
