#include "cli/timed_pass.hpp"

#include <array>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "annulus/base/error.hpp"
#include "annulus/plan/cost.hpp"
#include "cli/random_inputs.hpp"

namespace annulus::cli {
namespace {

/// Rows in a tensor of their own, aligned as a caller's would be.
template <class T>
Tensor tensor_of(const std::vector<T>& values, Index heads, Index dim) {
  const auto rows = static_cast<Index>(values.size()) / (heads * dim);
  Tensor tensor(data_type_of<T>, rows, heads, dim);
  if (!values.empty()) {
    std::memcpy(tensor.view().data, values.data(), values.size() * sizeof(T));
  }
  return tensor;
}

}  // namespace

std::shared_ptr<const TimedInputs> timed_inputs(const Plan& plan, int rank, std::uint64_t seed) {
  const auto& problem = plan.problem;
  const auto r = static_cast<std::size_t>(rank);
  const auto rows = packed_rows(plan.query_shards[r], problem.documents.query_offsets());
  const auto key_rows = packed_rows(plan.key_shards[r], problem.documents.key_offsets());
  const auto inputs = std::make_shared<TimedInputs>();
  with_element(plan.data_type, [&]<class T>() {
    // One tensor after the other, so that only one exists twice.
    const auto fill = [&](std::uint64_t tensor, const std::vector<Index>& which, Index heads,
                          Index dim) {
      return tensor_of(random_rows<T>(seed, tensor, which, heads * dim), heads, dim);
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
      attention_(plan, communicator, kernel, threads) {
  const auto& problem = plan.problem;
  const auto sums = accumulator_of(plan.data_type);
  const auto& q = inputs_->q.view();
  const auto& k = inputs_->k.view();
  out_ = {sums, q.rows, problem.query_heads, problem.output_dim()};
  if (statistics == Statistics::on) {
    ensure(pass == Pass::forward, "statistics are of the forward pass");
    for (auto& tensor : statistics_) tensor = {sums, q.rows, problem.query_heads, 1};
    statistics_view_ = {.entropy = statistics_[0].view(),
                        .effective_keys = statistics_[1].view(),
                        .participation = statistics_[2].view(),
                        .max_probability = statistics_[3].view(),
                        .max_logit = statistics_[4].view(),
                        .self_probability = statistics_[5].view()};
  }
  if (pass == Pass::forward) return;
  lse_ = {sums, q.rows, problem.query_heads, 1};
  dq_ = {sums, q.rows, problem.query_heads, problem.head_dim};
  dk_ = {sums, k.rows, problem.key_heads, problem.head_dim};
  dv_ = {sums, k.rows, problem.key_heads, problem.output_dim()};
  attention_.forward(q, k, inputs_->v.view(), out_.view(), {.lse = lse_.view(), .held = &held_});
}

TimedPass::Times TimedPass::run() {
  using Clock = std::chrono::steady_clock;
  // A backward pass uses up what it is given.
  auto start_from = held_;
  communicator_.barrier();
  const auto start = Clock::now();
  const auto report =
      pass_ == Pass::forward
          ? attention_.forward(inputs_->q.view(), inputs_->k.view(), inputs_->v.view(), out_.view(),
                               {.statistics = statistics_view_})
          : attention_.backward({.q = inputs_->q.view(),
                                 .k = inputs_->k.view(),
                                 .v = inputs_->v.view(),
                                 .out = out_.view(),
                                 .lse = lse_.view(),
                                 .dout = inputs_->dout.view(),
                                 .held = std::move(start_from)},
                                {.dq = dq_.view(), .dk = dk_.view(), .dv = dv_.view()});
  std::array<double, 2> times{std::chrono::duration<double>(Clock::now() - start).count(),
                              report.exposed_seconds};
  communicator_.all_reduce(times, comm::Reduction::maximum);
  bytes_sent_ = report.bytes_sent;
  return {times[0], times[1]};
}

double TimedPass::flops() const {
  return cost_of(plan()).flops * (pass_ == Pass::backward ? backward_to_forward_flops : 1);
}

}  // namespace annulus::cli
