#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/base/tensor.hpp"
#include "annulus/device/tensor_copy.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "ring/backward_queries.hpp"
#include "ring/check_shapes.hpp"
#include "ring/device_tensors.hpp"
#include "ring/execute.hpp"
#include "ring/finish_work.hpp"
#include "ring/item_store.hpp"
#include "ring/pass_programs.hpp"
#include "ring/row_numbers.hpp"
#include "ring/shared_node.hpp"

namespace annulus {
namespace {

/// Numbers of rows and heads (rows, H, 1), which may lie on a device, on the host, (rows, H)
/// row-major; zeros where they are absent.
std::vector<double> numbers_of(device::Stream& stream, ConstTensorView there, std::size_t count) {
  if (!there.present()) return std::vector<double>(count);
  Tensor here(there.type, there.rows, there.heads, 1);
  device::download(stream, here.view(), there);
  return annulus::numbers_of(here.view());
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
  ring::PassMeter meter(*stream_, traces_, Pass::backward);
  const auto& problem = plan_.problem();
  const int rank = communicator_.rank();
  const Index rows = plan_.query_rows(rank);
  const Index keys = plan_.key_rows(rank);
  const Index heads = problem.query_heads;
  const Index d = problem.head_dim;
  const Index d_v = problem.output_dim();
  const DataType type = plan_.data_type();
  const DataType accumulator = accumulator_of(type);
  using ring::check_shape;
  check_shape(inputs.q, "q", type, rows, heads, d);
  check_shape(inputs.k, "k", type, keys, problem.key_heads, d);
  check_shape(inputs.v, "v", type, keys, problem.key_heads, d_v);
  check_shape(inputs.out, "out", accumulator, rows, heads, d_v);
  check_shape(inputs.lse, "lse", accumulator, rows, heads, 1);
  check_shape(inputs.dout, "dout", type, rows, heads, d_v);
  if (inputs.dlse.present() && !kernel_.takes_gradients_of_lse()) {
    throw InputError(
        fmt::format("dlse: backend {} takes no gradient of lse; expected none, or another backend",
                    kernel_.name()));
  }
  if (inputs.dlse.present()) check_shape(inputs.dlse, "dlse", accumulator, rows, heads, 1);
  check_shape(gradients.dq, "dq", accumulator, rows, heads, d);
  check_shape(gradients.dk, "dk", accumulator, keys, problem.key_heads, d);
  check_shape(gradients.dv, "dv", accumulator, keys, problem.key_heads, d_v);
  ring::check_length(gradients.dgain, "dgain", heads);
  ring::check_length(gradients.dsink, "dsink", heads);
  ring::check_options(problem, rows, inputs.gain, inputs.sink, inputs.logit_scale);

  const ring::DeviceInput q(stream_, inputs.q);
  const ring::DeviceInput k(stream_, inputs.k);
  const ring::DeviceInput v(stream_, inputs.v);
  const ring::DeviceInput out(stream_, inputs.out);
  const ring::DeviceInput lse(stream_, inputs.lse);
  const ring::DeviceInput dout(stream_, inputs.dout);
  const ring::DeviceInput dlse(stream_, inputs.dlse);
  const ring::DeviceOutput dq(stream_, gradients.dq);
  const ring::DeviceOutput dk(stream_, gradients.dk);
  const ring::DeviceOutput dv(stream_, gradients.dv);
  const ring::DeviceInput table(stream_, ring::view_of(inputs.logit_scale, heads));
  const auto lse_low = std::exchange(inputs.held.lse_low, {});
  ring::BackwardQueries sums(plan_, rank, kernel_, *buffers_,
                             {.q = q.view(),
                              .betas = *betas_,
                              .gain = inputs.gain,
                              .sink = inputs.sink,
                              .table = {.there = table.view(), .here = inputs.logit_scale}},
                             {.dout = dout.view(),
                              .out = out.view(),
                              .lse = lse.view(),
                              .lse_low = lse_low.view(),
                              .dlse = dlse.view()},
                             dq.view(), !gradients.dgain.empty(),
                             {.key_heads = problem.key_heads,
                              .value_dim = d_v,
                              .threads = threads_,
                              .stream = stream_,
                              .memory = kernel_memory_,
                              .kept = kernel_kept_});

  const ring::ConstKeyValues own{.keys = k.view(), .values = v.view()};
  if (!inputs.held.present && plan_.schedule().keeps_keys()) {
    ring::SharedNode node(plan_, communicator_, Pass::forward, *programs_);
    const auto& there = programs_->of(rank, Pass::forward);
    ring::ItemStore store(plan_, rank, there, own, node, *buffers_);
    inputs.held.items = ring::execute(there, communicator_, node, {.keys = store, .queries = {}},
                                      {}, true, {}, meter);
  }
  ring::SharedNode node(plan_, communicator_, Pass::backward, *programs_);
  const auto& program = programs_->of(rank, Pass::backward);
  ring::ItemStore store(plan_, rank, program, own, {.keys = dk.view(), .values = dv.view()}, node,
                        *buffers_, sums.home());
  ring::execute(
      program, communicator_, node, {.keys = store, .queries = &sums}, std::move(inputs.held.items),
      false,
      [&](const Compute& compute, std::size_t step, const kernels::Poll& poll) {
        const auto [keys_of_step, values_of_step] = store.keys(compute, step);
        const auto [there, first] = store.sums(compute, step);
        auto& pass = sums.pass_of(compute.queries);
        const auto blocks = plan_.blocks(compute);
        if (first) {
          pass.accumulate_first(keys_of_step, values_of_step, blocks, there.keys, there.values,
                                poll);
        } else {
          pass.accumulate(keys_of_step, values_of_step, blocks, there.keys, there.values, poll);
        }
      },
      meter, inputs.poll);
  store.finish();
  sums.finish();

  ring::finish_work(*stream_, communicator_);
  dq.finish();
  dk.finish();
  dv.finish();
  if (!gradients.dgain.empty()) {
    std::ranges::fill(gradients.dgain, 0.0);
    sums.add_gain_gradients(gradients.dgain);
    communicator_.all_reduce(gradients.dgain, comm::Reduction::sum);
  }
  if (!gradients.dsink.empty()) {
    const auto count = static_cast<std::size_t>(rows * heads);
    const device::DeviceTensor means(stream_, accumulator, rows, heads, 1);
    sums.home().write_mean(means.view());
    const auto mean = numbers_of(*stream_, means.view(), count);
    const auto lse_high = numbers_of(*stream_, lse.view(), count);
    const auto lse_rest = numbers_of(*stream_, lse_low.view(), count);
    sum_over_rows(communicator_, rows, gradients.dsink, [&](Index i, Index h) {
      const double sink = inputs.sink.empty() ? -std::numeric_limits<double>::infinity()
                                              : inputs.sink[static_cast<std::size_t>(h)];
      if (std::isinf(sink)) return 0.0;
      const auto at = static_cast<std::size_t>(i * heads + h);
      return -std::exp((sink - lse_high[at]) - lse_rest[at]) * mean[at];
    });
  }
  return meter.report();
}

}  // namespace annulus
