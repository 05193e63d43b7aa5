#include "verify/checked_run.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "annulus/base/tensor.hpp"
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
                      const kernels::Kernel& kernel, int threads, Checked what, std::uint64_t seed,
                      std::vector<PassTrace>* traces) {
  const bool backward = has_gradients(what);
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
  attention.trace(traces);
  PassTensors tensors(plan, communicator.rank(),
                      {.statistics = has_statistics(what) ? Statistics::on : Statistics::off,
                       .backward = backward,
                       .parameters = backward});
  Index bytes_sent = tensors.forward(attention, views).bytes_sent;
  if (backward) bytes_sent += tensors.backward(attention, views).bytes_sent;
  Outputs outputs(problem, what);
  outputs.append(tensors.out(), tensors.lse(), tensors.statistics());
  if (backward) {
    auto* gradients = outputs.numbers.data() + outputs.first_gradient();
    gradients[0] = numbers_of(tensors.dq());
    gradients[1] = numbers_of(tensors.dk());
    gradients[2] = numbers_of(tensors.dv());
    gradients[3].assign(tensors.dgain().begin(), tensors.dgain().end());
  }
  return {
      .rows = rows, .key_rows = key_rows, .outputs = std::move(outputs), .bytes_sent = bytes_sent};
}

template <class T>
CheckedRun run_decode(const Plan& plan, comm::Communicator& communicator,
                      const kernels::Kernel& kernel, int threads, std::uint64_t seed) {
  const auto& problem = plan.problem();
  const Index heads = problem.query_heads;
  CachedAttention attention(problem, plan.data_type(), communicator, kernel, threads);
  CheckedRun run{.outputs = Outputs(problem, Checked::decode)};
  while (true) {
    const auto counts = next_counts(problem.documents, attention.layout());
    if (std::ranges::all_of(counts, [](Index count) { return count == 0; })) return run;
    const auto chunk = attention.layout().next(counts);
    const auto rows = packed_rows(chunk.shards[static_cast<std::size_t>(communicator.rank())],
                                  problem.documents.key_offsets());
    const auto inputs = random_inputs<T>(problem, seed, rows, rows);
    const auto n = static_cast<Index>(rows.size());
    const auto type = data_type_of<Accumulator<T>>;
    Tensor out(type, n, heads, problem.output_dim());
    Tensor lse(type, n, heads, 1);
    std::vector<Tensor> statistics(row_statistics().size());
    for (auto& statistic : statistics) statistic = {type, n, heads, 1};
    attention.append(chunk, dense_view(inputs.k.data(), n, problem.key_heads, problem.head_dim),
                     dense_view(inputs.v.data(), n, problem.key_heads, problem.output_dim()));
    const auto report =
        attention.attend(chunk, dense_view(inputs.q.data(), n, heads, problem.head_dim), out.view(),
                         {.lse = lse.view(), .statistics = statistics_view_of(statistics)});
    run.bytes_sent += report.bytes_sent;
    run.rows.insert(run.rows.end(), rows.begin(), rows.end());
    run.outputs.append(out.view(), lse.view(), statistics_view_of(statistics));
  }
}

Outputs gather(const Problem& problem, comm::Communicator& communicator, const CheckedRun& own,
               Checked what) {
  const auto rows = communicator.all_gather(std::as_bytes(std::span(own.rows)));
  const auto key_rows = communicator.all_gather(std::as_bytes(std::span(own.key_rows)));
  auto all = Outputs::whole(problem, what);
  for (std::size_t i = 0; i < all.kinds.size(); ++i) {
    if (all.kinds[i].rows == RowsOf::parameters) {
      all.numbers[i] = own.outputs.numbers[i];
      continue;
    }
    const auto parts = communicator.all_gather(std::as_bytes(std::span(own.outputs.numbers[i])));
    const auto& rows_of = all.kinds[i].rows == RowsOf::queries ? rows : key_rows;
    const auto width = static_cast<std::size_t>(all.kinds[i].width());
    for (std::size_t rank = 0; rank < parts.size(); ++rank) {
      for (std::size_t at = 0; at * sizeof(Index) < rows_of[rank].size(); ++at) {
        Index row = 0;
        std::memcpy(&row, rows_of[rank].data() + at * sizeof(Index), sizeof(Index));
        std::memcpy(all.numbers[i].data() + static_cast<std::size_t>(row) * width,
                    parts[rank].data() + at * width * sizeof(double), width * sizeof(double));
      }
    }
  }
  return all;
}

#define ANNULUS_INSTANTIATE(T)                                                                     \
  template CheckedRun run_passes<T>(const Plan&, comm::Communicator&, const kernels::Kernel&, int, \
                                    Checked, std::uint64_t, std::vector<PassTrace>*);              \
  template CheckedRun run_decode<T>(const Plan&, comm::Communicator&, const kernels::Kernel&, int, \
                                    std::uint64_t);
ANNULUS_INSTANTIATE(double)
ANNULUS_INSTANTIATE(float)
ANNULUS_INSTANTIATE(BFloat16)
ANNULUS_INSTANTIATE(Float16)
#undef ANNULUS_INSTANTIATE

}  // namespace annulus::verify
