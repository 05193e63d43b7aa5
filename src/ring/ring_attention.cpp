#include "annulus/ring/ring_attention.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"
#include "annulus/kernels/backend.hpp"
#include "annulus/ring/thread_share.hpp"
#include "ring/check_shapes.hpp"
#include "ring/circulate.hpp"
#include "ring/node.hpp"
#include "ring/query_scale.hpp"
#include "ring/shard_buffers.hpp"

namespace annulus {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Throws InputError unless the ranks that read each other's memory are on one node.
void check_nodes(const Plan& plan, const Topology& topology) {
  const auto nodes = ranks_of_nodes(topology);
  for (const auto& peers : plan.nodes) {
    const bool together = std::ranges::any_of(
        nodes, [&](const auto& ranks) { return std::ranges::includes(ranks, peers); });
    if (together) continue;
    throw InputError(fmt::format(
        "the plan has ranks {} on one node, and the communicator has not; plan for its topology",
        fmt::join(peers, ", ")));
  }
}

const kernels::Kernel& fastest_kernel(Device device, DataType type) {
  if (device.kind != DeviceKind::cpu) {
    throw InputError(fmt::format("device {}: no backend of this build computes there; expected cpu",
                                 name_of(device.kind)));
  }
  return kernels::find_backend("auto", type);
}

}  // namespace

RingAttention::RingAttention(Plan plan, comm::Communicator& communicator,
                             const kernels::Kernel& kernel, int threads)
    : plan_(std::move(plan)),
      communicator_(communicator),
      kernel_(kernel),
      threads_(threads),
      buffers_(std::make_shared<ring::BufferPool>()) {
  if (plan_.ranks != communicator.size()) {
    throw InputError(fmt::format("the plan is for {} ranks; the communicator has {}", plan_.ranks,
                                 communicator.size()));
  }
  check_nodes(plan_, communicator.topology());
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
  using ring::check_shape;
  check_shape(q, "q", plan_.data_type, rows, heads, problem.head_dim);
  check_shape(k, "k", plan_.data_type, keys, problem.key_heads, problem.head_dim);
  check_shape(v, "v", plan_.data_type, keys, problem.key_heads, problem.output_dim());
  const ForwardOutputs outputs{.out = out, .lse = options.lse, .statistics = options.statistics};
  ring::check_outputs(outputs, accumulator_of(plan_.data_type), rows, heads, problem.output_dim());
  ring::check_options(problem, rows, options.gain, options.sink, options.logit_scale);
  const auto scale = ring::query_scale(problem, plan_.query_shards[static_cast<std::size_t>(rank)],
                                       options.gain, options.logit_scale);
  const auto pass = kernel_.forward({.q = q, .scale = scale, .sink = options.sink},
                                    {.key_heads = problem.key_heads,
                                     .value_dim = problem.output_dim(),
                                     .statistics = options.statistics.present(),
                                     .threads = threads_});
  ring::Node node(plan_, communicator_, Pass::forward);
  ring::ShardBuffers buffers(plan_, rank, {.keys = k, .values = v}, node, *buffers_);

  PassReport report;
  ring::circulate(
      plan_, communicator_, node, buffers, options.held != nullptr,
      [&](const Read& read, std::size_t step, const kernels::Poll& poll) {
        const auto shard = buffers.read(read, step);
        pass->accumulate(shard.keys, shard.values, plan_.blocks(rank, read.owner), poll);
      },
      report);
  pass->finish(outputs);
  if (options.held != nullptr) *options.held = buffers.let_go();
  report.seconds = seconds_since(start);
  return report;
}

}  // namespace annulus
