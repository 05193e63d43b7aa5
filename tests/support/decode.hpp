#pragma once
// The tokens of a whole problem that come step by step, over a cache on ranks that are threads.

#include <functional>
#include <optional>
#include <vector>

#include "annulus/ring/cached_attention.hpp"
#include "support/whole_problem.hpp"

namespace annulus::test {

/// How many new tokens of each sequence there are in a step, given how many are left.
using Steps = std::function<std::vector<Index>(const std::vector<Index>& left, int step)>;

inline std::vector<Index> one_by_one(const std::vector<Index>& left, int) {
  std::vector<Index> counts;
  for (const Index tokens : left) counts.push_back(std::min<Index>(tokens, 1));
  return counts;
}

/// Everything but the last tokens of each sequence, in chunks that differ; then one by one.
inline std::vector<Index> chunks_then_one_by_one(const std::vector<Index>& left, int step) {
  std::vector<Index> counts;
  for (std::size_t i = 0; i < left.size(); ++i) {
    const Index chunk = 5 + 7 * ((step + static_cast<Index>(i)) % 3);
    counts.push_back(std::min(left[i], left[i] > 9 ? std::min(chunk, left[i] - 4) : Index{1}));
  }
  return counts;
}

/// The packed rows of a chunk that `rank` holds.
inline std::vector<Index> rows_of(const CacheChunk& chunk, int rank, const Documents& documents) {
  return packed_rows(chunk.shards[static_cast<std::size_t>(rank)], documents.key_offsets());
}

/// Appends and attends all tokens of `whole` step by step; prefills come in `prefill` sharding.
/// Each rank of `communicator` writes its rows into `result`, which ranks that are threads may
/// share.
template <class T>
void decode_of_rank(const WholeProblem<T>& whole, const Problem& problem,
                    comm::Communicator& communicator, const kernels::Kernel& kernel,
                    const Steps& steps, std::optional<Sharding> prefill,
                    Outputs<Accumulator<T>>& result) {
  const auto& documents = whole.problem.documents;
  CachedAttention attention(problem, data_type_of<T>, communicator, kernel, 2);
  std::vector<Index> left;
  for (Index i = 0; i < documents.count(); ++i) left.push_back(documents.key_length(i));
  for (int step = 0; std::ranges::any_of(left, [](Index count) { return count > 0; }); ++step) {
    const auto counts = steps(left, step);
    const bool first = step == 0;
    const auto chunk = attention.layout().next(counts, first ? prefill : std::nullopt);
    const auto rows = rows_of(chunk, communicator.rank(), documents);
    const RankInputs<T> inputs(whole, rows, rows);
    attention.append(chunk, inputs.k.view(), inputs.v.view());
    Outputs<Accumulator<T>> local(inputs.q.rows, problem.query_heads, problem.output_dim());
    attention.attend(chunk, inputs.q.view(), local.out.view(),
                     {.lse = local.lse.view(),
                      .statistics = local.statistics_view(),
                      .gain = whole.gain,
                      .sink = whole.sink,
                      .logit_scale = inputs.table});
    put_rows(result, rows, local.out.view(), local.lse.view(), local.statistics_view());
    for (std::size_t i = 0; i < left.size(); ++i) left[i] -= counts[i];
  }
}

/// The same by ranks that are threads.
template <class T>
Outputs<Accumulator<T>> decode(const WholeProblem<T>& whole, const Problem& problem, int ranks,
                               const kernels::Kernel& kernel, const Steps& steps,
                               std::optional<Sharding> prefill = {}) {
  Outputs<Accumulator<T>> result(whole.problem.documents.queries(), problem.query_heads,
                                 problem.output_dim());
  comm::run_threads(ranks, [&](comm::Communicator& communicator) {
    decode_of_rank(whole, problem, communicator, kernel, steps, prefill, result);
  });
  return result;
}

}  // namespace annulus::test
