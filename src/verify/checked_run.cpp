#include "verify/checked_run.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "annulus/ring/cached_attention.hpp"
#include "annulus/ring/pass_tensors.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "attention/random_inputs.hpp"

namespace annulus::verify {
namespace {

/// How many new tokens each document has in the next step, given how many the cache has.
std::vector<Index> next_counts(const Documents& documents, const CacheLayout& layout) {
  constexpr Index one_by_one = 16;
  std::vector<Index> counts;
  for (Index i = 0; i < documents.count(); ++i) {
    const Index there = layout.length(i);
    const Index left = documents.key_length(i) - there;
    const Index in_chunks = left - one_by_one;
    counts.push_back(std::min(
        left, in_chunks > 0 ? (there == 0 ? ceil_div(in_chunks, 2) : in_chunks) : Index{1}));
  }
  return counts;
}

}  // namespace

template <class T>
CheckedRun run_passes(const Plan& plan, comm::Communicator& communicator,
                      const kernels::Kernel& kernel, int threads, Checked what,
                      std::uint64_t seed) {
  const bool backward = what == Checked::backward;
  const auto& problem = plan.problem();
  const int rank = communicator.rank();
  const auto rows = packed_rows(plan.query_shard(rank), problem.documents.query_offsets());
  const auto key_rows = packed_rows(plan.key_shard(rank), problem.documents.key_offsets());
  const auto inputs = random_inputs<T>(problem, seed, rows, key_rows);
  std::vector<T> dout;
  if (backward) dout = random_output_gradients<T>(problem, seed, rows);
  const auto n_q = static_cast<Index>(rows.size());
  const auto n_k = static_cast<Index>(key_rows.size());
  const PassInputs views{
      .q = dense_view(inputs.q.data(), n_q, problem.query_heads, problem.head_dim),
      .k = dense_view(inputs.k.data(), n_k, problem.key_heads, problem.head_dim),
      .v = dense_view(inputs.v.data(), n_k, problem.key_heads, problem.output_dim()),
      .dout = dense_view(dout.data(), n_q, problem.query_heads, problem.output_dim())};
  RingAttention attention(plan, communicator, kernel, threads);
  PassTensors tensors(
      plan, communicator.rank(),
      {.statistics = what == Checked::forward_without_statistics ? Statistics::off : Statistics::on,
       .backward = backward});
  tensors.forward(attention, views);
  if (backward) tensors.backward(attention, views);
  return {.rows = rows,
          .key_rows = key_rows,
          .out = numbers_of(tensors.out()),
          .lse = numbers_of(tensors.lse()),
          .entropy = numbers_of(tensors.statistics().entropy),
          .dq = numbers_of(tensors.dq()),
          .dk = numbers_of(tensors.dk()),
          .dv = numbers_of(tensors.dv())};
}

template <class T>
CheckedRun run_decode(const Plan& plan, comm::Communicator& communicator,
                      const kernels::Kernel& kernel, int threads, std::uint64_t seed) {
  const auto& problem = plan.problem();
  const Index heads = problem.query_heads;
  CachedAttention attention(problem, plan.data_type(), communicator, kernel, threads);
  CheckedRun run;
  const auto append = [](std::vector<double>& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  while (true) {
    const auto counts = next_counts(problem.documents, attention.layout());
    if (std::ranges::all_of(counts, [](Index count) { return count == 0; })) return run;
    const auto chunk = attention.layout().next(counts);
    const auto rows = packed_rows(chunk.shards[static_cast<std::size_t>(communicator.rank())],
                                  problem.documents.key_offsets());
    const auto inputs = random_inputs<T>(problem, seed, rows, rows);
    const auto n = static_cast<Index>(rows.size());
    std::vector<Accumulator<T>> out(static_cast<std::size_t>(n * heads * problem.output_dim()));
    std::vector<Accumulator<T>> lse(static_cast<std::size_t>(n * heads));
    auto statistics = make_statistics(data_type_of<Accumulator<T>>, n, heads);
    attention.append(chunk, dense_view(inputs.k.data(), n, problem.key_heads, problem.head_dim),
                     dense_view(inputs.v.data(), n, problem.key_heads, problem.output_dim()));
    attention.attend(
        chunk, dense_view(inputs.q.data(), n, heads, problem.head_dim),
        dense_view(out.data(), n, heads, problem.output_dim()),
        {.lse = dense_view(lse.data(), n, heads, 1), .statistics = statistics_view_of(statistics)});
    run.rows.insert(run.rows.end(), rows.begin(), rows.end());
    append(run.out, out);
    append(run.lse, lse);
    append(run.entropy, numbers_of(statistics.front().view()));
  }
}

CheckedRun gather(const Problem& problem, comm::Communicator& communicator, const CheckedRun& own) {
  const auto rows = communicator.all_gather(std::as_bytes(std::span(own.rows)));
  const auto key_rows = communicator.all_gather(std::as_bytes(std::span(own.key_rows)));
  const auto collect = [&](const std::vector<double>& part,
                           const std::vector<std::vector<std::byte>>& rows_of, Index count,
                           Index row_width) {
    const auto parts = communicator.all_gather(std::as_bytes(std::span(part)));
    const auto width = static_cast<std::size_t>(row_width);
    std::vector<double> whole(static_cast<std::size_t>(count) * width);
    for (std::size_t rank = 0; rank < parts.size(); ++rank) {
      for (std::size_t i = 0; i * sizeof(Index) < rows_of[rank].size(); ++i) {
        Index row = 0;
        std::memcpy(&row, rows_of[rank].data() + i * sizeof(Index), sizeof(Index));
        std::memcpy(whole.data() + static_cast<std::size_t>(row) * width,
                    parts[rank].data() + i * width * sizeof(double), width * sizeof(double));
      }
    }
    return whole;
  };
  const auto of_queries = [&](const std::vector<double>& part, Index width) {
    return collect(part, rows, problem.documents.queries(), width);
  };
  const auto of_keys = [&](const std::vector<double>& part, Index width) {
    return collect(part, key_rows, problem.documents.keys(), width);
  };
  const Index heads = problem.query_heads;
  CheckedRun all{.out = of_queries(own.out, heads * problem.output_dim()),
                 .lse = of_queries(own.lse, heads)};
  // A rank without rows has neither entropy nor gradients: what is asked for is in some rank's
  // results.
  std::array<Index, 2> present{own.entropy.empty() ? 0 : 1,
                               own.dq.empty() && own.dk.empty() ? 0 : 1};
  communicator.all_reduce(present, comm::Reduction::maximum);
  if (present[0] == 1) all.entropy = of_queries(own.entropy, heads);
  if (present[1] == 0) return all;
  all.dq = of_queries(own.dq, heads * problem.head_dim);
  all.dk = of_keys(own.dk, problem.key_heads * problem.head_dim);
  all.dv = of_keys(own.dv, problem.key_heads * problem.output_dim());
  return all;
}

#define ANNULUS_INSTANTIATE(T)                                                                     \
  template CheckedRun run_passes<T>(const Plan&, comm::Communicator&, const kernels::Kernel&, int, \
                                    Checked, std::uint64_t);                                       \
  template CheckedRun run_decode<T>(const Plan&, comm::Communicator&, const kernels::Kernel&, int, \
                                    std::uint64_t);
ANNULUS_INSTANTIATE(double)
ANNULUS_INSTANTIATE(float)
ANNULUS_INSTANTIATE(BFloat16)
ANNULUS_INSTANTIATE(Float16)
#undef ANNULUS_INSTANTIATE

}  // namespace annulus::verify
