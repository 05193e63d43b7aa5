#include "annulus/ring/ring_attention.hpp"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/kernels/backend.hpp"
#include "annulus/ring/thread_share.hpp"
#include "ring/query_scale.hpp"
#include "ring/shard_buffers.hpp"

namespace annulus {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

const kernels::Kernel& fastest_kernel(Device device, DataType type) {
  if (device.kind != DeviceKind::cpu) {
    throw InputError(fmt::format("device {}: no backend of this build computes there; expected cpu",
                                 name_of(device.kind)));
  }
  return kernels::find_backend("auto", type);
}

void check(ConstTensorView view, const char* name, DataType type, Index rows, Index heads,
           Index dim) {
  if (view.type == type && view.has_shape(rows, heads, dim)) return;
  throw Error(fmt::format("{} is {} ({}, {}, {}); the plan expects {} ({}, {}, {}) on this rank",
                          name, name_of(view.type), view.rows, view.heads, view.dim, name_of(type),
                          rows, heads, dim));
}

void check(std::span<const double> values, const char* name, Index expected) {
  if (values.empty() || static_cast<Index>(values.size()) == expected) return;
  throw Error(fmt::format("{} has {} entries; the plan expects {} on this rank", name,
                          values.size(), expected));
}

}  // namespace

RingAttention::RingAttention(Plan plan, comm::Communicator& communicator,
                             const kernels::Kernel& kernel, int threads)
    : plan_(std::move(plan)), communicator_(communicator), kernel_(kernel), threads_(threads) {
  if (plan_.ranks != communicator.size()) {
    throw InputError(fmt::format("the plan is for {} ranks; the communicator has {}", plan_.ranks,
                                 communicator.size()));
  }
  if (!kernel.supports(plan_.data_type)) {
    throw InputError(fmt::format("backend {} does not compute in precision {}", kernel.name(),
                                 name_of(plan_.data_type)));
  }
  if (threads < 1) throw InputError(fmt::format("{} threads; expected at least 1", threads));
}

RingAttention::RingAttention(const Plan& plan, comm::Communicator& communicator, Device device)
    : RingAttention(plan, communicator, fastest_kernel(device, plan.data_type),
                    thread_share(communicator.topology(), communicator.rank())) {}

PassReport RingAttention::forward(ConstTensorView q, ConstTensorView k, ConstTensorView v,
                                  TensorView out, const ForwardOptions& options) {
  const auto start = Clock::now();
  const auto& problem = plan_.problem;
  const int rank = communicator_.rank();
  const Index rows = plan_.query_rows(rank);
  const Index keys = plan_.key_rows(rank);
  const Index heads = problem.query_heads;
  const DataType accumulator = accumulator_of(plan_.data_type);
  check(q, "q", plan_.data_type, rows, heads, problem.head_dim);
  check(k, "k", plan_.data_type, keys, problem.key_heads, problem.head_dim);
  check(v, "v", plan_.data_type, keys, problem.key_heads, problem.output_dim());
  check(out, "out", accumulator, rows, heads, problem.output_dim());
  if (options.lse.present()) check(options.lse, "lse", accumulator, rows, heads, 1);
  if (options.statistics.present()) {
    const auto& all = options.statistics;
    for (const auto& view : {all.entropy, all.effective_keys, all.participation,
                             all.max_probability, all.max_logit, all.self_probability}) {
      check(view, "a statistic", accumulator, rows, heads, 1);
    }
  }
  check(options.gain, "gain", heads);
  check(options.sink, "sink", heads);
  check(options.logit_scale, "logit_scale", rows * heads);
  if (problem.logit_scale.is_table() != (rows > 0 && !options.logit_scale.empty()) && rows > 0) {
    throw Error("a logit scale table belongs to the policy `table`, and to no other");
  }

  const auto scale = ring::query_scale(problem, plan_.query_shards[static_cast<std::size_t>(rank)],
                                       options.gain, options.logit_scale);
  const auto pass = kernel_.forward({.q = q, .scale = scale, .sink = options.sink},
                                    {.key_heads = problem.key_heads,
                                     .value_dim = problem.output_dim(),
                                     .statistics = options.statistics.present(),
                                     .threads = threads_});
  ring::ShardBuffers buffers(plan_, rank, {.keys = k, .values = v});

  PassReport report;
  for (const auto& step : plan_.steps) {
    const auto& [compute_owner, hop] = step.ranks[static_cast<std::size_t>(rank)];
    std::optional<comm::Send> send;
    std::optional<comm::Receive> receive;
    if (hop.to >= 0) send = {hop.to, buffers.packed(hop.send_owner)};
    if (hop.from >= 0) receive = {hop.from, buffers.arrival(hop.receive_owner)};
    std::unique_ptr<comm::Exchange> exchange;
    if (send || receive) exchange = communicator_.exchange(send, receive);
    if (send) report.bytes_sent += static_cast<Index>(send->data.size());

    if (compute_owner >= 0) {
      const auto held = buffers.held(compute_owner);
      pass->accumulate(held.keys, held.values, plan_.blocks(rank, compute_owner), [&] {
        if (exchange) exchange->poll();
      });
    }

    const auto computed = Clock::now();
    if (exchange) exchange->wait();
    exchange.reset();
    report.exposed_seconds += seconds_since(computed);
    if (receive) buffers.arrived(hop.receive_owner);
  }
  pass->finish(out, options.lse, options.statistics);
  report.seconds = seconds_since(start);
  return report;
}

}  // namespace annulus
