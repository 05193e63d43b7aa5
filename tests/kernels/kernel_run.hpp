#pragma once
// The kernels of any backend on a whole problem, without ranks.

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "annulus/plan/sharding.hpp"
#include "kernels/merged_parts.hpp"
#include "kernels/placed_scales.hpp"
#include "kernels/placed_tensors.hpp"
#include "support/gradients.hpp"
#include "support/whole_problem.hpp"

namespace annulus::test {

/// How kernels are run.
struct KernelRun {
  Sharding sharding = Sharding::contiguous;
  int shards = 1;      ///< that queries come in
  int key_shards = 0;  ///< that keys come in; 0: as many
  int threads = 1;
  bool statistics = true;
  bool reversed = false;    ///< from the last key shard to the first
  bool by_states = false;   ///< a pass sees every third shard of keys and merges states of the rest
  bool by_means = false;    ///< a backward pass is given <dout, out> in place of out
  bool lse_in_one = false;  ///< and lse without what rounding took from it
  bool finish_apart = false;  ///< after the last blocks, not with them
  kernels::Poll poll{};
  std::shared_ptr<device::BufferPool> memory{};  ///< of the passes

  [[nodiscard]] std::vector<Shard> query_shards(const Documents& documents) const {
    return make_shards(sharding, documents.query_offsets(), shards);
  }
  /// In the order in which they come.
  [[nodiscard]] std::vector<Shard> ordered_key_shards(const Documents& documents) const {
    auto all =
        make_shards(sharding, documents.key_offsets(), key_shards == 0 ? shards : key_shards);
    if (reversed) std::reverse(all.begin(), all.end());
    return all;
  }
};

/// What a forward pass writes.
template <class T>
struct KernelOutputs : Outputs<T> {
  Tensor<T> lse_low;

  KernelOutputs(Index rows, Index heads, Index value_dim)
      : Outputs<T>(rows, heads, value_dim), lse_low(rows, heads, 1) {}
};

/// One pass for each shard of queries and one call for each shard of keys.
template <class T>
[[nodiscard]] KernelOutputs<Accumulator<T>> attend_by(const kernels::Kernel& kernel,
                                                      const WholeProblem<T>& whole,
                                                      const KernelRun& run = {}) {
  using Sum = Accumulator<T>;
  const auto& problem = whole.problem;
  const auto& documents = problem.documents;
  const auto stream = kernel.open_stream(0);
  const Index heads = problem.query_heads;
  KernelOutputs<Sum> result(documents.queries(), heads, problem.output_dim());
  for (const auto& query_shard : run.query_shards(documents)) {
    const auto rows = packed_rows(query_shard, documents.query_offsets());
    const PlacedRows<T> q(stream, take_rows(whole.q, rows));
    const PlacedScales scales(stream, whole, rows);
    const kernels::Queries queries{.q = q.view(), .scale = scales.view(), .sink = whole.sink};
    const kernels::PassOptions options{.key_heads = problem.key_heads,
                                       .value_dim = problem.output_dim(),
                                       .statistics = run.statistics,
                                       .threads = run.threads,
                                       .stream = stream,
                                       .memory = run.memory};
    KernelOutputs<Sum> local(std::ssize(rows), heads, problem.output_dim());
    const PlacedNumbers<Sum> out(stream, local.out);
    const PlacedNumbers<Sum> lse(stream, local.lse);
    const PlacedNumbers<Sum> lse_low(stream, local.lse_low);
    std::vector<PlacedNumbers<Sum>> statistics;
    for (const auto& statistic : local.statistics) statistics.emplace_back(stream, statistic);
    const ForwardOutputs outputs{
        .out = out.view(),
        .lse = lse.view(),
        .statistics = run.statistics ? statistics_view_of(statistics) : StatisticsView{},
        .lse_low = lse_low.view()};
    const auto pass = kernel.forward(queries, options);
    const auto key_shards = run.ordered_key_shards(documents);
    bool finished = false;
    for (Index part = 0; part < std::ssize(key_shards); ++part) {
      const auto& key_shard = key_shards[static_cast<std::size_t>(part)];
      const auto key_rows = packed_rows(key_shard, documents.key_offsets());
      const PlacedRows<T> k(stream, take_rows(whole.k, key_rows));
      const PlacedRows<T> v(stream, take_rows(whole.v, key_rows));
      const auto blocks = visible_blocks(problem, query_shard, key_shard);
      if (const Index turn = part % 3; run.by_states && turn != 0) {
        merge_part<Sum>(kernel, *pass, queries, options, k.view(), v.view(), blocks,
                        turn == 1 ? problem.key_heads : 1);
      } else if (part + 1 < std::ssize(key_shards) || run.finish_apart) {
        pass->accumulate(k.view(), v.view(), blocks, run.poll);
      } else {
        pass->accumulate_last(k.view(), v.view(), blocks, run.poll, outputs);
        finished = true;
      }
    }
    if (!finished) pass->finish(outputs);
    out.fetch(local.out);
    lse.fetch(local.lse);
    lse_low.fetch(local.lse_low);
    for (std::size_t s = 0; s < statistics.size(); ++s) statistics[s].fetch(local.statistics[s]);
    put_rows(result, rows, local.out.view(), local.lse.view(), local.statistics_view());
    put_rows(result.lse_low, rows, local.lse_low);
  }
  return result;
}

/// One number of each row and head, as where several travel together.
template <class T>
[[nodiscard]] TensorView column_of(TensorView table, Index column) {
  table.data = table.row<T>(0, 0) + column;
  table.dim = 1;
  return table;
}

/// The gradients of what attend_by computes: every shard of queries against every shard of keys.
template <class T>
[[nodiscard]] AllGradients<Accumulator<T>> gradients_by(const kernels::Kernel& kernel,
                                                        const WholeProblem<T>& whole,
                                                        const Tensor<T>& dout,
                                                        const KernelRun& run = {}) {
  using Sum = Accumulator<T>;
  const auto& problem = whole.problem;
  const auto& documents = problem.documents;
  const auto forward = attend_by(kernel, whole, run);
  const auto stream = kernel.open_stream(0);
  AllGradients<Sum> result(problem);
  bool first = true;
  for (const auto& query_shard : run.query_shards(documents)) {
    const auto rows = packed_rows(query_shard, documents.query_offsets());
    const PlacedRows<T> q(stream, take_rows(whole.q, rows));
    const PlacedRows<T> local_dout(stream, take_rows(dout, rows));
    const PlacedNumbers<Sum> lse(stream, take_rows(forward.lse, rows));
    const PlacedNumbers<Sum> lse_low(stream, take_rows(forward.lse_low, rows));
    const PlacedNumbers<Sum> out(stream, take_rows(forward.out, rows));
    const PlacedScales scales(stream, whole, rows);
    kernels::BackwardQueries queries{.q = q.view(),
                                     .scale = scales.view(),
                                     .dout = local_dout.view(),
                                     .lse = lse.view(),
                                     .out = out.view()};
    if (!run.lse_in_one) queries.lse_low = lse_low.view();
    const kernels::PassOptions options{.key_heads = problem.key_heads,
                                       .value_dim = problem.output_dim(),
                                       .threads = run.threads,
                                       .stream = stream,
                                       .memory = run.memory};
    auto pass = kernel.backward(queries, options);
    const PlacedNumbers<Sum> table(stream, Tensor<Sum>(std::ssize(rows), problem.query_heads, 3));
    pass->write_mean(column_of<Sum>(table.view(), 1));
    if (run.by_means) {
      queries.out = {};
      queries.mean = column_of<Sum>(table.view(), 1);
      pass = kernel.backward(queries, options);
    }
    for (const auto& key_shard : run.ordered_key_shards(documents)) {
      const auto key_rows = packed_rows(key_shard, documents.key_offsets());
      const PlacedRows<T> k(stream, take_rows(whole.k, key_rows));
      const PlacedRows<T> v(stream, take_rows(whole.v, key_rows));
      auto dk = take_rows(result.dk, key_rows);
      auto dv = take_rows(result.dv, key_rows);
      if (first) {
        std::ranges::fill(dk.values, std::numeric_limits<Sum>::quiet_NaN());
        std::ranges::fill(dv.values, std::numeric_limits<Sum>::quiet_NaN());
      }
      const PlacedNumbers<Sum> dk_there(stream, dk);
      const PlacedNumbers<Sum> dv_there(stream, dv);
      const auto blocks = visible_blocks(problem, query_shard, key_shard);
      if (first) {
        pass->accumulate_first(k.view(), v.view(), blocks, dk_there.view(), dv_there.view(),
                               run.poll);
      } else {
        pass->accumulate(k.view(), v.view(), blocks, dk_there.view(), dv_there.view(), run.poll);
      }
      dk_there.fetch(dk);
      dv_there.fetch(dv);
      put_rows(result.dk, key_rows, dk);
      put_rows(result.dv, key_rows, dv);
    }
    first = false;
    auto dq = take_rows(result.dq, rows);
    const PlacedNumbers<Sum> dq_there(stream, dq);
    Tensor<Sum> dscale(std::ssize(rows), problem.query_heads, 1);
    const PlacedNumbers<Sum> dscale_there(stream, dscale);
    pass->finish(dq_there.view(), dscale_there.view());
    dq_there.fetch(dq);
    dscale_there.fetch(dscale);
    Tensor<Sum> numbers(std::ssize(rows), problem.query_heads, 3);
    table.fetch(numbers);
    put_rows(result.dq, rows, dq);
    for (std::size_t i = 0; i < dscale.values.size(); ++i) {
      const std::size_t h = i % result.dgain.size();
      const auto row = static_cast<Index>(i / result.dgain.size());
      const auto head = static_cast<Index>(h);
      result.dgain[h] += scales.per_gain(row, head) * static_cast<double>(dscale.values[i]);
      if (whole.sink.empty() || std::isinf(whole.sink[h])) continue;
      const auto row_lse =
          static_cast<double>(forward.lse.at(rows[static_cast<std::size_t>(row)], head, 0));
      const auto mean = static_cast<double>(numbers.at(row, head, 1));
      result.dsink[h] -= std::exp(whole.sink[h] - row_lse) * mean;
    }
  }
  return result;
}

}  // namespace annulus::test
