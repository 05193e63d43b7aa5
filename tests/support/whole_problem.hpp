#pragma once
// A whole problem with random inputs, computed two ways: straight from the definition, and by
// ranks.

#include <cmath>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "annulus/attention/problem.hpp"
#include "annulus/comm/threads.hpp"
#include "annulus/kernels/error_bounds.hpp"
#include "annulus/ring/pass_tensors.hpp"
#include "annulus/ring/ring_attention.hpp"
#include "support/schedules.hpp"
#include "support/tensor.hpp"

namespace annulus::test {

/// The inputs of a problem, the same on every rank.
template <class T>
struct WholeProblem {
  Problem problem;
  Tensor<T> q;
  Tensor<T> k;
  Tensor<T> v;
  std::vector<double> gain;
  std::vector<double> sink;
  std::vector<double> table;
};

/// Standard normal inputs; queries are `size` times as large.
template <class T>
[[nodiscard]] WholeProblem<T> random_problem(const Problem& problem, unsigned seed,
                                             double size = 1.0) {
  std::mt19937_64 random(seed);
  const Index n_q = problem.documents.queries();
  const Index n_k = problem.documents.keys();
  WholeProblem<T> whole{
      .problem = problem,
      .q = random_tensor<T>(random, n_q, problem.query_heads, problem.head_dim, size),
      .k = random_tensor<T>(random, n_k, problem.key_heads, problem.head_dim),
      .v = random_tensor<T>(random, n_k, problem.key_heads, problem.output_dim()),
      .gain = {},
      .sink = {},
      .table = {}};
  if (problem.logit_scale.is_table()) {
    std::uniform_real_distribution<double> uniform(-1.0, 3.0);
    whole.table.resize(static_cast<std::size_t>(n_q * problem.query_heads));
    for (auto& value : whole.table) value = uniform(random);
  }
  return whole;
}

/// What the definition reads.
template <class T>
[[nodiscard]] kernels::WholeInputs inputs_of(const WholeProblem<T>& whole) {
  return {.q = whole.q.view(),
          .k = whole.k.view(),
          .v = whole.v.view(),
          .gain = whole.gain,
          .sink = whole.sink,
          .table = whole.table};
}

/// From the definition, in fp64.
template <class T>
[[nodiscard]] Outputs<double> direct(WholeProblem<T>& whole) {
  const auto& problem = whole.problem;
  Outputs<double> expected(problem.documents.queries(), problem.query_heads, problem.output_dim());
  kernels::direct_attention(problem, inputs_of(whole), expected.out.view(), expected.lse.view(),
                            expected.statistics_view());
  return expected;
}

/// The rows `rows` of `whole`.
template <class T>
[[nodiscard]] Tensor<T> take_rows(const Tensor<T>& whole, const std::vector<Index>& rows) {
  Tensor<T> part(static_cast<Index>(rows.size()), whole.heads, whole.dim);
  const auto width = static_cast<std::size_t>(whole.heads * whole.dim);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto from = whole.values.begin() +
                      static_cast<std::ptrdiff_t>(rows[i]) * static_cast<std::ptrdiff_t>(width);
    std::copy_n(from, width, part.values.begin() + static_cast<std::ptrdiff_t>(i * width));
  }
  return part;
}

/// How rows are spread over ranks, and ranks over nodes; keys as queries unless said otherwise.
struct Spread {
  Sharding queries;
  std::optional<Sharding> keys{};
  int per_node = 0;  ///< ranks of each node; 0: all of them
  std::optional<annulus::Schedule> schedule{};

  Spread(Sharding both) : queries(both) {}
  Spread(Sharding of_queries, Sharding of_keys) : queries(of_queries), keys(of_keys) {}

  [[nodiscard]] Spread over_nodes_of(int ranks) const {
    auto spread = *this;
    spread.per_node = ranks;
    return spread;
  }
  [[nodiscard]] Spread by(annulus::Schedule other) const {
    auto spread = *this;
    spread.schedule = other;
    return spread;
  }
  [[nodiscard]] std::string text() const {
    return std::string(name_of(queries)) + "/" + std::string(name_of(keys.value_or(queries))) +
           ", nodes of " + std::to_string(per_node) + ", " +
           (schedule ? std::string(name_of(*schedule)) : "auto");
  }
  [[nodiscard]] Topology topology(int ranks) const {
    return even_topology(ranks, per_node == 0 ? ranks : per_node);
  }

  [[nodiscard]] PlanOptions options(DataType type) const {
    return {.sharding = queries, .key_sharding = keys, .schedule = schedule, .data_type = type};
  }
  /// What the kernel can honour.
  [[nodiscard]] PlanOptions options(DataType type, const kernels::Kernel& kernel) const {
    auto options = this->options(type);
    options.peer_memory = kernels::peer_memory_of(kernel.device());
    options.merges_states = kernel.merges_states();
    return options;
  }
};

/// Nodes as test data: every rank on its own, all on one, and several on each of several.
[[nodiscard]] inline std::vector<int> nodes_for(int ranks) {
  std::vector<int> sizes{1};
  for (int size = 2; size <= ranks; ++size) {
    if (ranks % size == 0) sizes.push_back(size);
  }
  return sizes;
}

/// A sharding over nodes of every size, and by some of the schedules for which they do not matter:
/// others for each sharding.
[[nodiscard]] inline std::vector<Spread> spreads_for(int ranks, Sharding sharding,
                                                     Index heads = 1) {
  std::vector<Spread> all;
  for (const int per_node : nodes_for(ranks)) {
    all.push_back(Spread(sharding).over_nodes_of(per_node));
  }
  if (ranks == 1) return all;
  const auto schedules = schedules_for(ranks, heads);
  for (auto at = static_cast<std::size_t>(sharding); at < schedules.size();
       at += all_shardings().size()) {
    all.push_back(all.front().by(schedules[at]));
  }
  return all;
}

/// The rows of a whole problem that a rank holds.
template <class T>
struct RankInputs {
  std::vector<Index> rows;      ///< queries, in the packed sequence
  std::vector<Index> key_rows;  ///< likewise
  Tensor<T> q;
  Tensor<T> k;
  Tensor<T> v;
  std::vector<double> table;
  const WholeProblem<T>& whole;

  RankInputs(const WholeProblem<T>& problem, std::vector<Index> queries, std::vector<Index> keys)
      : rows(std::move(queries)),
        key_rows(std::move(keys)),
        q(take_rows(problem.q, rows)),
        k(take_rows(problem.k, key_rows)),
        v(take_rows(problem.v, key_rows)),
        whole(problem) {
    const auto heads = problem.problem.query_heads;
    for (const Index row : rows) {
      for (Index h = 0; h < heads && !problem.table.empty(); ++h) {
        table.push_back(problem.table[static_cast<std::size_t>(row * heads + h)]);
      }
    }
  }
  RankInputs(const WholeProblem<T>& problem, const Plan& plan, int rank)
      : RankInputs(problem,
                   packed_rows(plan.query_shard(rank), problem.problem.documents.query_offsets()),
                   packed_rows(plan.key_shard(rank), problem.problem.documents.key_offsets())) {}

  [[nodiscard]] PassInputs views(ConstTensorView dout = {}) const {
    return {.q = q.view(),
            .k = k.view(),
            .v = v.view(),
            .dout = dout,
            .gain = whole.gain,
            .sink = whole.sink,
            .logit_scale = table};
  }
};

/// Puts the rows of a tensor of one rank where take_rows took them.
template <class T>
void put_rows(Tensor<T>& whole, const std::vector<Index>& rows, ConstTensorView part) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (Index h = 0; h < whole.heads; ++h) {
      std::copy_n(part.row<T>(static_cast<Index>(i), h), whole.dim, &whole.at(rows[i], h, 0));
    }
  }
}

template <class T>
void put_rows(Tensor<T>& whole, const std::vector<Index>& rows, const Tensor<T>& part) {
  put_rows(whole, rows, part.view());
}

/// Puts what a rank computed where its rows are.
template <class T>
void put_rows(Outputs<T>& whole, const std::vector<Index>& rows, ConstTensorView out,
              ConstTensorView lse, const StatisticsView& statistics) {
  put_rows(whole.out, rows, out);
  put_rows(whole.lse, rows, lse);
  for (std::size_t s = 0; s < statistics.views.size(); ++s) {
    put_rows(whole.statistics[s], rows, statistics.views[s]);
  }
}

/// A plan for what `kernel` can honour.
template <class T>
[[nodiscard]] Plan plan_by(const kernels::Kernel& kernel, const WholeProblem<T>& whole,
                           const Topology& topology, const Spread& spread) {
  return make_plan(whole.problem, topology, spread.options(data_type_of<T>, kernel));
}

/// The same by the ranks of `communicator`: writes this rank's rows into `result`, whose rows are
/// those of the whole problem. Ranks that are threads may share it, for their rows are disjoint.
template <class T>
void attend(const WholeProblem<T>& whole, comm::Communicator& communicator, const Plan& plan,
            const kernels::Kernel& kernel, Outputs<Accumulator<T>>& result, int threads = 1,
            Statistics statistics = Statistics::on) {
  const RankInputs<T> inputs(whole, plan, communicator.rank());
  RingAttention attention(plan, communicator, kernel, threads);
  PassTensors tensors(plan, communicator.rank(), {.statistics = statistics});
  tensors.forward(attention, inputs.views());
  put_rows(result, inputs.rows, tensors.out(), tensors.lse(), tensors.statistics());
}

/// The same by ranks that are threads.
template <class T>
[[nodiscard]] Outputs<Accumulator<T>> attend_by_ranks(const WholeProblem<T>& whole, int ranks,
                                                      Spread spread, const kernels::Kernel& kernel,
                                                      int threads = 1,
                                                      Statistics statistics = Statistics::on) {
  const auto& problem = whole.problem;
  Outputs<Accumulator<T>> result(problem.documents.queries(), problem.query_heads,
                                 problem.output_dim());
  const auto topology = spread.topology(ranks);
  const auto plan = plan_by(kernel, whole, topology, spread);
  comm::run_threads(topology, [&](comm::Communicator& communicator) {
    attend(whole, communicator, plan, kernel, result, threads, statistics);
  });
  return result;
}

/// The largest |scale| |q| |k| over visible pairs is at most this: the size of the logits.
template <class T>
[[nodiscard]] double largest_logit(const WholeProblem<T>& whole) {
  const auto norm = [](const Tensor<T>& tensor) {
    double largest = 0;
    for (Index i = 0; i < tensor.rows; ++i) {
      for (Index h = 0; h < tensor.heads; ++h) {
        double square = 0;
        for (Index c = 0; c < tensor.dim; ++c) {
          square +=
              static_cast<double>(tensor.at(i, h, c)) * static_cast<double>(tensor.at(i, h, c));
        }
        largest = std::max(largest, square);
      }
    }
    return std::sqrt(largest);
  };
  const auto& problem = whole.problem;
  double factor = 0;
  for (Index document = 0; document < problem.documents.count(); ++document) {
    for (Index i = 0; i < problem.documents.query_length(document); ++i) {
      factor = std::max(factor, std::abs(problem.logit_scale.beta(place_of(problem, document, i),
                                                                  problem.head_dim)));
    }
  }
  for (const double value : whole.table) factor = std::max(factor, std::abs(value));
  double gain = whole.gain.empty() ? 1 : 0;
  for (const double value : whole.gain) gain = std::max(gain, std::abs(value));
  return gain * problem.logit_scale.base(problem.head_dim) * factor * norm(whole.q) * norm(whole.k);
}

/// How far from exact `kernel` may be, given the same inputs: they are what they are, and sums of
/// what is computed from them are fp32 or fp64.
template <class T>
[[nodiscard]] Outputs<double> bounds_of(const WholeProblem<T>& whole,
                                        const kernels::Roundings& roundings) {
  const auto& problem = whole.problem;
  Outputs<double> bounds(problem.documents.queries(), problem.query_heads, problem.output_dim());
  kernels::attention_bounds(problem, inputs_of(whole), roundings, bounds.out.view(),
                            bounds.lse.view(), bounds.statistics_view());
  return bounds;
}

template <class T>
[[nodiscard]] Outputs<double> bounds_of(const WholeProblem<T>& whole,
                                        const kernels::Kernel& kernel) {
  return bounds_of(whole, kernels::Roundings::of(kernel, data_type_of<T>));
}

}  // namespace annulus::test
