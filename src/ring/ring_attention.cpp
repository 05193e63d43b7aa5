#include "annulus/ring/ring_attention.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"
#include "annulus/kernels/backend.hpp"
#include "annulus/ring/thread_share.hpp"
#include "ring/check_shapes.hpp"
#include "ring/device_tensors.hpp"
#include "ring/execute.hpp"
#include "ring/finish_work.hpp"
#include "ring/forward_queries.hpp"
#include "ring/item_store.hpp"
#include "ring/pass_programs.hpp"
#include "ring/row_numbers.hpp"
#include "ring/shared_node.hpp"

namespace annulus {
namespace {

/// Throws InputError unless the ranks that read each other's memory are on one node.
void check_nodes(const Plan& plan, const Topology& topology) {
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    const auto peers = plan.peers(rank);
    const bool together =
        std::ranges::all_of(peers, [&](int peer) { return same_node(topology, rank, peer); });
    if (together) continue;
    throw InputError(fmt::format(
        "the plan has ranks {} on one node, and the communicator has not; plan for its topology",
        fmt::join(peers, ", ")));
  }
}

}  // namespace

void check_plan(const Plan& plan, const kernels::Kernel& kernel) {
  if (!kernel.supports(plan.data_type())) {
    throw InputError(fmt::format("backend {} does not compute in precision {}", kernel.name(),
                                 name_of(plan.data_type())));
  }
  if (plan.schedule().queries_travel() && !kernel.merges_states()) {
    throw InputError(
        fmt::format("backend {} does not merge states, as schedule {} does; expected a schedule in "
                    "which keys travel alone, such as ring",
                    kernel.name(), name_of(plan.schedule())));
  }
  if (plan.reads_in_place() && kernels::peer_memory_of(kernel.device()) == PeerMemory::separate) {
    throw InputError(fmt::format(
        "schedule {} reads keys in the memory of peers, which device {} does not; expected ring",
        name_of(plan.schedule()), name_of(kernel.device())));
  }
  kernel.check(plan);
}

RingAttention::RingAttention(Plan plan, comm::Communicator& communicator,
                             const kernels::Kernel& kernel, int threads)
    : RingAttention(std::move(plan), communicator, kernel,
                    kernel.open_stream(place_on_node(communicator.topology(), communicator.rank())),
                    threads) {}

RingAttention::RingAttention(Plan plan, comm::Communicator& communicator,
                             const kernels::Kernel& kernel, std::shared_ptr<device::Stream> stream,
                             int threads)
    : plan_(std::move(plan)),
      communicator_(communicator),
      kernel_(kernel),
      stream_(std::move(stream)),
      threads_(threads),
      buffers_(std::make_shared<device::BufferPool>(stream_, communicator.exchanged_memory())),
      kernel_memory_(std::make_shared<device::BufferPool>(stream_)),
      kernel_kept_(kernel.keep(stream_)),
      programs_(std::make_shared<ring::PassPrograms>(plan_)),
      betas_(std::make_shared<ring::RowBetas>(plan_, stream_)) {
  if (plan_.ranks() != communicator.size()) {
    throw InputError(fmt::format("the plan is for {} ranks; the communicator has {}", plan_.ranks(),
                                 communicator.size()));
  }
  check_nodes(plan_, communicator.topology());
  check_plan(plan_, kernel);
  if (threads < 1) throw InputError(fmt::format("{} threads; expected at least 1", threads));
  const auto device = stream_->device().kind;
  if (device != kernel.device()) {
    throw InputError(fmt::format("backend {} computes on {}, the stream is of {}", kernel.name(),
                                 name_of(kernel.device()), name_of(device)));
  }
}

RingAttention::RingAttention(const Plan& plan, comm::Communicator& communicator, Device device)
    : RingAttention(plan, communicator,
                    kernels::find_backend("auto", plan.data_type(), device.kind),
                    thread_share(communicator.topology(), communicator.rank())) {}

PassReport RingAttention::forward(ConstTensorView q, ConstTensorView k, ConstTensorView v,
                                  TensorView out, const ForwardOptions& options) {
  ring::PassMeter meter(*stream_, traces_, Pass::forward);
  const auto& problem = plan_.problem();
  const int rank = communicator_.rank();
  const Index rows = plan_.query_rows(rank);
  const Index keys = plan_.key_rows(rank);
  const Index heads = problem.query_heads;
  using ring::check_shape;
  check_shape(q, "q", plan_.data_type(), rows, heads, problem.head_dim);
  check_shape(k, "k", plan_.data_type(), keys, problem.key_heads, problem.head_dim);
  check_shape(v, "v", plan_.data_type(), keys, problem.key_heads, problem.output_dim());
  const ForwardOutputs outputs{.out = out, .lse = options.lse, .statistics = options.statistics};
  ring::check_outputs(outputs, accumulator_of(plan_.data_type()), rows, heads,
                      problem.output_dim());
  ring::check_options(problem, rows, options.gain, options.sink, options.logit_scale);
  const ring::DeviceInput queries(stream_, q);
  const ring::DeviceInput keys_there(stream_, k);
  const ring::DeviceInput values_there(stream_, v);
  const ring::DeviceOutput out_there(stream_, out);
  const ring::DeviceOutput lse_there(stream_, options.lse);
  const auto statistics_there = ring::device_statistics(stream_, options.statistics);
  const ring::DeviceInput table(stream_, ring::view_of(options.logit_scale, heads));
  const bool keep = options.held != nullptr;
  device::DeviceTensor lse_low;
  if (keep) lse_low = {stream_, accumulator_of(plan_.data_type()), rows, heads, 1};
  const auto& program = programs_->of(rank, Pass::forward);
  ring::ForwardQueries states(plan_, rank, kernel_, *buffers_,
                              {.q = queries.view(),
                               .betas = *betas_,
                               .gain = options.gain,
                               .sink = options.sink,
                               .table = {.there = table.view(), .here = options.logit_scale}},
                              {.key_heads = problem.key_heads,
                               .value_dim = problem.output_dim(),
                               .statistics = options.statistics.present(),
                               .for_backward = keep,
                               .threads = threads_,
                               .stream = stream_,
                               .memory = kernel_memory_,
                               .kept = kernel_kept_},
                              program,
                              {.out = out_there.view(),
                               .lse = lse_there.view(),
                               .statistics = statistics_view_of(statistics_there),
                               .lse_low = keep ? lse_low.view() : TensorView{}});
  ring::SharedNode node(plan_, communicator_, Pass::forward, *programs_);
  ring::ItemStore store(plan_, rank, program,
                        {.keys = keys_there.view(), .values = values_there.view()}, node,
                        *buffers_);
  auto kept = ring::execute(
      program, communicator_, node, {.keys = store, .queries = &states}, {}, keep,
      [&](const Compute& compute, std::size_t step, const kernels::Poll& poll) {
        const auto [keys_of_step, values_of_step] = store.keys(compute, step);
        states.accumulate(compute, keys_of_step, values_of_step, poll);
      },
      meter, options.poll);
  states.finish();
  if (keep) {
    *options.held = {.items = std::move(kept), .lse_low = std::move(lse_low), .present = true};
  }
  ring::finish_work(*stream_, communicator_);
  out_there.finish();
  lse_there.finish();
  for (const auto& statistic : statistics_there) statistic.finish();
  return meter.report();
}

}  // namespace annulus
