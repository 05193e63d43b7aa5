#include "annulus/measure/timed_pass.hpp"

#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include "annulus/base/error.hpp"
#include "annulus/plan/cost.hpp"
#include "attention/random_inputs.hpp"

namespace annulus::measure {

std::shared_ptr<const TimedInputs> timed_inputs(const Plan& plan, int rank, std::uint64_t seed,
                                                std::shared_ptr<device::Stream> stream) {
  const auto& problem = plan.problem;
  const auto r = static_cast<std::size_t>(rank);
  const auto rows = packed_rows(plan.query_shards[r], problem.documents.query_offsets());
  const auto key_rows = packed_rows(plan.key_shards[r], problem.documents.key_offsets());
  const auto inputs = std::make_shared<TimedInputs>();
  inputs->stream = std::move(stream);
  with_element(plan.data_type, [&]<class T>() {
    // One tensor after the other, so that only one exists twice.
    const auto fill = [&](std::uint64_t tensor, const std::vector<Index>& which, Index heads,
                          Index dim) {
      const auto values = random_rows<T>(seed, tensor, which, heads * dim);
      const auto count = static_cast<Index>(which.size());
      device::DeviceTensor placed(inputs->stream, data_type_of<T>, count, heads, dim);
      device::upload(*inputs->stream, placed.view(), dense_view(values.data(), count, heads, dim));
      return placed;
    };
    inputs->q = fill(0, rows, problem.query_heads, problem.head_dim);
    inputs->k = fill(1, key_rows, problem.key_heads, problem.head_dim);
    inputs->v = fill(2, key_rows, problem.key_heads, problem.output_dim());
    inputs->dout = fill(3, rows, problem.query_heads, problem.output_dim());
  });
  return inputs;
}

TimedPass::TimedPass(const Plan& plan, Pass pass, Statistics statistics,
                     std::shared_ptr<const TimedInputs> inputs, comm::Communicator& communicator,
                     const kernels::Kernel& kernel, int threads)
    : pass_(pass),
      inputs_(std::move(inputs)),
      communicator_(communicator),
      attention_(plan, communicator, kernel, inputs_->stream, threads) {
  const auto& problem = plan.problem;
  const auto sums = accumulator_of(plan.data_type);
  const auto q = inputs_->q.view();
  const auto k = inputs_->k.view();
  const auto place = [&](Index rows, Index heads, Index dim) {
    return device::DeviceTensor(inputs_->stream, sums, rows, heads, dim);
  };
  out_ = place(q.rows, problem.query_heads, problem.output_dim());
  if (statistics == Statistics::on) {
    ensure(pass == Pass::forward, "statistics are of the forward pass");
    for (auto& tensor : statistics_) tensor = place(q.rows, problem.query_heads, 1);
    statistics_view_ = statistics_view_of(statistics_);
  }
  if (pass == Pass::forward) return;
  lse_ = place(q.rows, problem.query_heads, 1);
  dq_ = place(q.rows, problem.query_heads, problem.head_dim);
  dk_ = place(k.rows, problem.key_heads, problem.head_dim);
  dv_ = place(k.rows, problem.key_heads, problem.output_dim());
  attention_.forward(q, k, inputs_->v.view(), out_.view(), {.lse = lse_.view(), .held = &held_});
}

PassReport TimedPass::run_once(HeldShards start_from) {
  if (pass_ == Pass::forward) {
    return attention_.forward(inputs_->q.view(), inputs_->k.view(), inputs_->v.view(), out_.view(),
                              {.statistics = statistics_view_});
  }
  return attention_.backward({.q = inputs_->q.view(),
                              .k = inputs_->k.view(),
                              .v = inputs_->v.view(),
                              .out = out_.view(),
                              .lse = lse_.view(),
                              .dout = inputs_->dout.view(),
                              .held = std::move(start_from)},
                             {.dq = dq_.view(), .dk = dk_.view(), .dv = dv_.view()});
}

TimedPass::Times TimedPass::run() {
  using Clock = std::chrono::steady_clock;
  auto& stream = *inputs_->stream;
  // A backward pass uses up what it is given.
  auto start_from = held_;
  stream.synchronize();
  communicator_.barrier();
  const auto start = Clock::now();
  const auto start_event = stream.record();
  const auto report = run_once(std::move(start_from));
  const auto end_event = stream.record();
  double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (stream.device().kind == DeviceKind::cuda) {
    stream.synchronize();
    seconds = stream.seconds_between(*start_event, *end_event);
  }
  std::array<double, 2> times{seconds, report.exposed_seconds};
  communicator_.all_reduce(times, comm::Reduction::maximum);
  bytes_sent_ = report.bytes_sent;
  return {times[0], times[1]};
}

double TimedPass::flops() const {
  return cost_of(plan()).flops * (pass_ == Pass::backward ? backward_to_forward_flops : 1);
}

}  // namespace annulus::measure
