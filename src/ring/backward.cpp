#include <chrono>
#include <utility>

#include "annulus/base/error.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "ring/check_shapes.hpp"
#include "ring/circulate.hpp"
#include "ring/circulate_back.hpp"
#include "ring/node.hpp"
#include "ring/query_scale.hpp"

namespace annulus {
namespace {

template <class A, class B>
double dot(const A* a, const B* b, Index size) {
  double sum = 0;
  for (Index c = 0; c < size; ++c) sum += static_cast<double>(a[c]) * static_cast<double>(b[c]);
  return sum;
}

/// <dout, out> for every row and head.
std::vector<double> row_means(ConstTensorView dout, ConstTensorView out) {
  std::vector<double> means;
  means.reserve(static_cast<std::size_t>(out.rows * out.heads));
  with_element(dout.type, [&]<class T>() {
    for (Index i = 0; i < out.rows; ++i) {
      for (Index h = 0; h < out.heads; ++h) {
        means.push_back(dot(dout.row<T>(i, h), out.row<Accumulator<T>>(i, h), out.dim));
      }
    }
  });
  return means;
}

double element(ConstTensorView view, Index i, Index h) {
  return with_accumulator(view.type,
                          [&]<class T>() { return static_cast<double>(*view.row<T>(i, h)); });
}

/// Writes the sum over all rows of all ranks of `value(i, h)` into `sums`, which may be empty; its
/// presence is the same on all ranks.
template <class Value>
void sum_over_rows(comm::Communicator& communicator, Index rows, std::span<double> sums,
                   Value value) {
  if (sums.empty()) return;
  std::ranges::fill(sums, 0.0);
  for (Index i = 0; i < rows; ++i) {
    for (std::size_t h = 0; h < sums.size(); ++h) sums[h] += value(i, static_cast<Index>(h));
  }
  communicator.all_reduce(sums, comm::Reduction::sum);
}

}  // namespace

PassReport RingAttention::backward(BackwardInputs inputs, const Gradients& gradients) {
  const auto start = std::chrono::steady_clock::now();
  const auto& problem = plan_.problem;
  const int rank = communicator_.rank();
  const Index rows = plan_.query_rows(rank);
  const Index keys = plan_.key_rows(rank);
  const Index heads = problem.query_heads;
  const Index d = problem.head_dim;
  const Index d_v = problem.output_dim();
  const DataType type = plan_.data_type;
  const DataType accumulator = accumulator_of(type);
  using ring::check_shape;
  check_shape(inputs.q, "q", type, rows, heads, d);
  check_shape(inputs.k, "k", type, keys, problem.key_heads, d);
  check_shape(inputs.v, "v", type, keys, problem.key_heads, d_v);
  check_shape(inputs.out, "out", accumulator, rows, heads, d_v);
  check_shape(inputs.lse, "lse", accumulator, rows, heads, 1);
  check_shape(inputs.dout, "dout", type, rows, heads, d_v);
  check_shape(gradients.dq, "dq", accumulator, rows, heads, d);
  check_shape(gradients.dk, "dk", accumulator, keys, problem.key_heads, d);
  check_shape(gradients.dv, "dv", accumulator, keys, problem.key_heads, d_v);
  ring::check_length(gradients.dgain, "dgain", heads);
  ring::check_length(gradients.dsink, "dsink", heads);
  ring::check_options(problem, rows, inputs.gain, inputs.sink, inputs.logit_scale);

  const auto& shard = plan_.query_shards[static_cast<std::size_t>(rank)];
  const auto scale = ring::query_scale(problem, shard, inputs.gain, inputs.logit_scale);
  const auto means = row_means(inputs.dout, inputs.out);
  const auto pass = kernel_.backward(
      {.q = inputs.q, .scale = scale, .dout = inputs.dout, .lse = inputs.lse, .mean = means},
      {.key_heads = problem.key_heads, .value_dim = d_v, .threads = threads_});

  PassReport report;
  ring::Node node(plan_, communicator_, Pass::backward);
  ring::ShardBuffers buffers(plan_, rank, {.keys = inputs.k, .values = inputs.v}, node, *buffers_);
  if (!inputs.held.present) {
    ring::circulate(plan_, communicator_, node, buffers, true, {}, report);
    inputs.held = buffers.let_go();
  }
  if (!gradient_communicator_) {
    gradient_communicator_ = communicator_.first(communicator_.size());
  }
  ring::GradientBuffers sums(plan_, rank, {.dk = gradients.dk, .dv = gradients.dv}, node,
                             *buffers_);
  ring::circulate_back(
      plan_, communicator_, *gradient_communicator_, node, std::move(inputs.held), buffers, sums,
      [&](const Read& read, std::size_t step, const kernels::Poll& poll) {
        const auto held = buffers.read(read, step);
        const auto to = sums.sums(read, step);
        pass->accumulate(held.keys, held.values, plan_.blocks(rank, read.owner), to.dk, to.dv,
                         poll);
      },
      report);

  std::vector<double> dscale(static_cast<std::size_t>(rows * heads));
  pass->finish(gradients.dq, dscale);
  const auto at = [&](Index i, Index h) { return static_cast<std::size_t>(i * heads + h); };
  const auto scale_of_gain_1 = gradients.dgain.empty()
                                   ? std::vector<double>{}
                                   : ring::query_scale(problem, shard, {}, inputs.logit_scale);
  sum_over_rows(communicator_, rows, gradients.dgain,
                [&](Index i, Index h) { return scale_of_gain_1[at(i, h)] * dscale[at(i, h)]; });
  sum_over_rows(communicator_, rows, gradients.dsink, [&](Index i, Index h) {
    const double sink = inputs.sink.empty() ? -std::numeric_limits<double>::infinity()
                                            : inputs.sink[static_cast<std::size_t>(h)];
    if (std::isinf(sink)) return 0.0;
    return -std::exp(sink - element(inputs.lse, i, h)) * means[at(i, h)];
  });
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace annulus
