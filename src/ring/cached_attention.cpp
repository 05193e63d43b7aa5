#include "annulus/ring/cached_attention.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "annulus/attention/partial_state.hpp"
#include "annulus/base/error.hpp"
#include "annulus/base/tensor.hpp"
#include "ring/cached_queries.hpp"
#include "ring/check_shapes.hpp"
#include "ring/device_tensors.hpp"
#include "ring/joined_rows.hpp"
#include "ring/merge_states.hpp"
#include "ring/row_numbers.hpp"

namespace annulus {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Queries that all ranks meet at the same time, of all ranks together: enough to make a pass over
/// the keys worth its while, and few enough for their states to be small beside a cache.
constexpr Index queries_at_a_time = 2048;

/// What a caller wants, where the host writes it.
class HostOutputs {
 public:
  HostOutputs(const std::shared_ptr<device::Stream>& stream, const ForwardOutputs& wanted)
      : out_(stream, wanted.out), lse_(stream, wanted.lse) {
    for (const auto& view : wanted.statistics.views) statistics_.emplace_back(stream, view);
  }

  [[nodiscard]] ForwardOutputs views() const {
    return {.out = out_.view(), .lse = lse_.view(), .statistics = statistics_view_of(statistics_)};
  }

  void finish() const {
    for (const auto* output : {&out_, &lse_}) output->finish();
    for (const auto& table : statistics_) table.finish();
  }

 private:
  ring::HostOutput out_;
  ring::HostOutput lse_;
  std::vector<ring::HostOutput> statistics_;
};

}  // namespace

CachedAttention::CachedAttention(const Problem& problem, DataType type,
                                 comm::Communicator& communicator, const kernels::Kernel& kernel,
                                 int threads)
    : problem_(problem),
      type_(type),
      communicator_(communicator),
      kernel_(kernel),
      stream_(kernel.open_stream(place_on_node(communicator.topology(), communicator.rank()))),
      threads_(threads),
      kernel_memory_(std::make_shared<device::BufferPool>(stream_)),
      layout_(problem.documents.count(), communicator.size()),
      rows_(static_cast<std::size_t>(problem.documents.count())) {
  validate(problem);
  if (!kernel.supports(type)) {
    throw InputError(
        fmt::format("backend {} does not compute in precision {}", kernel.name(), name_of(type)));
  }
  if (!kernel.merges_states()) {
    throw InputError(
        fmt::format("backend {} has no states, which attention over a cache merges; "
                    "expected auto",
                    kernel.name()));
  }
  if (threads < 1) throw InputError(fmt::format("{} threads; expected at least 1", threads));
  for (auto& own : rows_) {
    own = {GrowingRows(stream_, type, problem.key_heads, problem.head_dim),
           GrowingRows(stream_, type, problem.key_heads, problem.output_dim())};
  }
}

void CachedAttention::check_tokens(const CacheChunk& chunk) const {
  if (chunk.shards.size() != static_cast<std::size_t>(communicator_.size())) {
    throw InputError(fmt::format("a chunk for {} ranks; the cache is on {}", chunk.shards.size(),
                                 communicator_.size()));
  }
  for (const auto& shard : chunk.shards) {
    for (const auto& run : shard) {
      if (run.document < 0 || run.document >= layout_.sequences()) {
        throw InputError(fmt::format("a query of sequence {}; the cache has sequences 0 to {}",
                                     run.document, layout_.sequences() - 1));
      }
      const Index last = run.first + (run.count - 1) * run.stride;
      if (run.first < 0 || last >= layout_.length(run.document)) {
        throw InputError(fmt::format("a query at position {} of sequence {}, which has {} tokens",
                                     run.first < 0 ? run.first : last, run.document,
                                     layout_.length(run.document)));
      }
    }
  }
}

void CachedAttention::append(const CacheChunk& chunk, ConstTensorView k, ConstTensorView v) {
  auto layout = layout_;
  layout.append(chunk);
  for (Index sequence = 0; sequence < layout.sequences(); ++sequence) {
    const Index final_length = problem_.documents.key_length(sequence);
    if (final_length == 0 || layout.length(sequence) <= final_length) continue;
    throw InputError(fmt::format("sequence {} would have {} tokens; its document has {}", sequence,
                                 layout.length(sequence), final_length));
  }
  const int rank = communicator_.rank();
  const Index rows = chunk.rows(rank);
  ring::check_shape(k, "k", type_, rows, problem_.key_heads, problem_.head_dim);
  ring::check_shape(v, "v", type_, rows, problem_.key_heads, problem_.output_dim());
  Index row = 0;
  for (const auto& run : chunk.shards[static_cast<std::size_t>(rank)]) {
    auto& own = rows_[static_cast<std::size_t>(run.document)];
    // Room for an even share of a sequence whose length is known.
    const Index share = ceil_div(problem_.documents.key_length(run.document), layout_.ranks());
    own.keys.reserve(share);
    own.values.reserve(share);
    own.keys.append(k, row, run.count);
    own.values.append(v, row, run.count);
    row += run.count;
  }
  layout_ = std::move(layout);
}

std::vector<double> CachedAttention::betas_of(const CacheChunk& chunk) const {
  std::vector<double> betas;
  for (const auto& run : chunk.shards[static_cast<std::size_t>(communicator_.rank())]) {
    const Index length = layout_.length(run.document);
    const Index final_length = problem_.documents.key_length(run.document);
    for (Index i = 0; i < run.count; ++i) {
      const Index position = run.first + i * run.stride;
      betas.push_back(
          problem_.logit_scale.beta({.document_length = final_length == 0 ? length : final_length,
                                     .visible = problem_.mask.visible(position, length).size(),
                                     .position = position},
                                    problem_.head_dim));
    }
  }
  return betas;
}

void CachedAttention::accumulate(kernels::ForwardPass& pass, const std::vector<Shard>& queries,
                                 const kernels::Poll& poll) const {
  const int rank = communicator_.rank();
  std::vector<std::vector<PlacedRows>> of_sequence(rows_.size());
  Index query_row = 0;
  for (const auto& shard : queries) {
    for (const auto& run : shard) {
      of_sequence[static_cast<std::size_t>(run.document)].push_back(
          {.row = query_row, .position = run.first, .stride = run.stride, .count = run.count});
      query_row += run.count;
    }
  }
  for (Index sequence = 0; sequence < layout_.sequences(); ++sequence) {
    const auto at = static_cast<std::size_t>(sequence);
    const auto& held = layout_.held(rank, sequence);
    std::vector<Block> blocks;
    for (const auto& rows : of_sequence[at]) {
      Index key_row = 0;
      for (const auto& run : held) {
        const Block block{.queries = rows,
                          .keys = {.row = key_row,
                                   .position = run.first,
                                   .stride = run.stride,
                                   .count = run.count},
                          .mask = problem_.mask};
        if (visible_area(block) > 0) blocks.push_back(block);
        key_row += run.count;
      }
    }
    if (blocks.empty()) continue;
    pass.accumulate(rows_[at].keys.view(), rows_[at].values.view(), blocks, poll);
  }
}

PassReport CachedAttention::attend(const CacheChunk& chunk, ConstTensorView q, TensorView out,
                                   const ForwardOptions& options) {
  const auto start = Clock::now();
  check_tokens(chunk);
  const Index rows = chunk.rows(communicator_.rank());
  const ForwardOutputs wanted{.out = out, .lse = options.lse, .statistics = options.statistics};
  ring::check_shape(q, "q", type_, rows, problem_.query_heads, problem_.head_dim);
  ring::check_outputs(wanted, accumulator_of(type_), rows, problem_.query_heads,
                      problem_.output_dim());
  ring::check_options(problem_, rows, options.gain, options.sink, options.logit_scale);
  const bool table = problem_.logit_scale.is_table();
  const auto betas = table ? std::vector<double>() : betas_of(chunk);
  const auto factors = ring::head_factors(problem_, {0, problem_.query_heads}, options.gain);
  const Scales scales{.rows = table ? ring::view_of(options.logit_scale, problem_.query_heads)
                                    : ring::view_of(betas, 1),
                      .heads = factors};
  PassReport report;
  if (communicator_.size() == 1) {
    attend_alone(chunk, q, scales, wanted, options);
  } else {
    attend_together(chunk, q, scales, wanted, options, report);
  }
  report.seconds = seconds_since(start);
  return report;
}

kernels::PassOptions CachedAttention::pass_options(const ForwardOptions& options) const {
  return {.key_heads = problem_.key_heads,
          .value_dim = problem_.output_dim(),
          .statistics = options.statistics.present(),
          .threads = threads_,
          .stream = stream_,
          .memory = kernel_memory_};
}

void CachedAttention::attend_alone(const CacheChunk& chunk, ConstTensorView q, const Scales& scales,
                                   const ForwardOutputs& wanted,
                                   const ForwardOptions& options) const {
  const ring::DeviceInput queries(stream_, q);
  const ring::DeviceInput row_numbers(stream_, scales.rows);
  const ring::DeviceOutput out(stream_, wanted.out);
  const ring::DeviceOutput lse(stream_, wanted.lse);
  const auto statistics = ring::device_statistics(stream_, wanted.statistics);
  for (Index first = 0; first < q.rows; first += queries_at_a_time) {
    const Index count = std::min(queries_at_a_time, q.rows - first);
    const auto part = [&](auto view) { return ring::rows_of(view, first, count); };
    const auto pass =
        kernel_.forward({.q = part(queries.view()),
                         .scale = {.rows = part(row_numbers.view()), .heads = scales.heads},
                         .sink = options.sink},
                        pass_options(options));
    accumulate(*pass, {slice(chunk.shards.front(), first, first + count)}, options.poll);
    ForwardOutputs outputs{.out = part(out.view()),
                           .lse = part(lse.view()),
                           .statistics = statistics_view_of(statistics)};
    for (auto& view : outputs.statistics.views) view = part(view);
    pass->finish(outputs);
  }
  stream_->synchronize();
  out.finish();
  lse.finish();
  for (const auto& table : statistics) table.finish();
}

void CachedAttention::attend_together(const CacheChunk& chunk, ConstTensorView q,
                                      const Scales& scales, const ForwardOutputs& wanted,
                                      const ForwardOptions& options, PassReport& report) const {
  const int rank = communicator_.rank();
  const int ranks = communicator_.size();
  const auto sums = accumulator_of(type_);
  const ring::HostInput own_queries(*stream_, q);
  const HostOutputs outputs(stream_, wanted);
  const Index piece = std::max<Index>(1, queries_at_a_time / ranks);
  Index most_rows = 0;
  for (int r = 0; r < ranks; ++r) most_rows = std::max(most_rows, chunk.rows(r));
  for (Index first = 0; first < most_rows; first += piece) {
    std::vector<Shard> shards;
    std::vector<Index> offsets{0};
    for (const auto& shard : chunk.shards) {
      shards.push_back(slice(shard, first, first + piece));
      offsets.push_back(offsets.back() + row_count(shards.back()));
    }
    auto waiting = Clock::now();
    const auto queries = ring::gather_queries(communicator_, own_queries.view(), scales.rows, first,
                                              offsets, report);
    report.exposed_seconds += seconds_since(waiting);

    const ring::DeviceInput on_device(stream_, queries.q.view());
    const ring::DeviceInput row_numbers(stream_, queries.row_numbers.view());
    const auto pass = kernel_.forward({.q = on_device.view(),
                                       .scale = {.rows = row_numbers.view(), .heads = scales.heads},
                                       .sink = {}},
                                      pass_options(options));
    accumulate(*pass, shards, options.poll);
    Tensor states(sums, offsets.back(), problem_.query_heads, state_width(problem_.output_dim()));
    const ring::DeviceOutput states_there(stream_, states.view());
    pass->write_state(states_there.view());
    states_there.finish();

    waiting = Clock::now();
    ring::merge_states(communicator_, states.view(), offsets, report);
    report.exposed_seconds += seconds_since(waiting);
    const auto at = static_cast<std::size_t>(rank);
    finish(states.view(), {offsets[at], offsets[at + 1]}, first, options.sink, outputs.views());
  }
  outputs.finish();
}

void CachedAttention::finish(TensorView states, Interval own, Index first,
                             std::span<const double> sink, const ForwardOutputs& outputs) const {
  with_accumulator(states.type, [&]<class T>() {
    for (Index i = 0; i < own.size(); ++i) {
      for (Index h = 0; h < states.heads; ++h) {
        auto state = load_state(states.row<T>(own.begin + i, h), problem_.output_dim());
        if (!sink.empty()) add_sink(state, static_cast<T>(sink[static_cast<std::size_t>(h)]));
        write_row<T>(outputs, first + i, h, state.softmax, state.self_logit,
                     std::span<const T>(state.values));
      }
    }
  });
}

Index CachedAttention::bytes() const {
  Index rows = 0;
  for (const auto& own : rows_) rows += own.keys.rows();
  return rows * problem_.key_heads * (problem_.head_dim + problem_.output_dim()) *
         static_cast<Index>(size_of(type_));
}

}  // namespace annulus
