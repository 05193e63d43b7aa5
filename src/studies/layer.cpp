#include "studies/layer.hpp"

#include <array>
#include <numeric>

#include "annulus/base/error.hpp"
#include "annulus/ring/ring_attention.hpp"

namespace annulus::studies {
namespace {

template <class T>
Attended attend_as(const Plan& plan, const Resources& resources, const LocalRows& queries,
                   const LocalRows& keys, const LocalRows& values) {
  const std::vector<T> q(queries.values.begin(), queries.values.end());
  const std::vector<T> k(keys.values.begin(), keys.values.end());
  const std::vector<T> v(values.values.begin(), values.values.end());
  const Index rows = queries.count();
  using Sum = Accumulator<T>;
  std::vector<Sum> out(static_cast<std::size_t>(rows * values.dim));
  std::vector<Sum> statistics(static_cast<std::size_t>(rows * 6));
  const auto statistic = [&](Index which) {
    return dense_view(statistics.data() + which * rows, rows, 1, 1);
  };
  RingAttention(plan, resources.communicator, resources.kernel, resources.threads)
      .forward(dense_view(q.data(), rows, 1, queries.dim),
               dense_view(k.data(), keys.count(), 1, keys.dim),
               dense_view(v.data(), values.count(), 1, values.dim),
               dense_view(out.data(), rows, 1, values.dim),
               {.statistics = {.entropy = statistic(0),
                               .effective_keys = statistic(1),
                               .participation = statistic(2),
                               .max_probability = statistic(3),
                               .max_logit = statistic(4),
                               .self_probability = statistic(5)}});
  std::array<double, 6> sums{};
  for (std::size_t which = 0; which < sums.size(); ++which) {
    const auto begin = statistics.begin() + static_cast<std::ptrdiff_t>(which) * rows;
    sums[which] = std::accumulate(begin, begin + rows, 0.0);
  }
  resources.communicator.all_reduce(sums, comm::Reduction::sum);
  const auto n_q = static_cast<double>(plan.problem.documents.queries());
  return {.out = {.dim = values.dim, .values = {out.begin(), out.end()}},
          .means = {.self_probability = sums[5] / n_q,
                    .entropy = sums[0] / n_q,
                    .effective_keys = sums[1] / n_q,
                    .participation = sums[2] / n_q,
                    .max_probability = sums[3] / n_q}};
}

}  // namespace

std::vector<Index> rows_of_rank(Index n, const comm::Communicator& communicator) {
  const Index ranks = communicator.size();
  const Index begin = n * communicator.rank() / ranks;
  const Index end = n * (communicator.rank() + 1) / ranks;
  std::vector<Index> rows(static_cast<std::size_t>(end - begin));
  std::iota(rows.begin(), rows.end(), begin);
  return rows;
}

Attended attend(const Resources& resources, DataType type, Index n_q, Index n, double gamma,
                const LocalRows& queries, const LocalRows& keys, const LocalRows& values) {
  const auto plan = make_plan({.head_dim = queries.dim,
                               .value_dim = values.dim,
                               .documents = Documents::single(n_q, n),
                               .logit_scale = LogitScale::critical(gamma)},
                              resources.communicator.topology(),
                              {.sharding = Sharding::contiguous,
                               .schedule = schedule_for(resources.kernel.device()),
                               .data_type = type});
  return with_element(
      type, [&]<class T>() { return attend_as<T>(plan, resources, queries, keys, values); });
}

Layer apply_layer(const Resources& resources, DataType type, Index n, double gamma,
                  const LocalRows& y, double residual, const LocalRows& x) {
  auto attended = attend(resources, type, n, n, gamma, y, y, y);
  Layer layer{.out = std::move(attended.out), .means = attended.means};
  for (std::size_t at = 0; at < layer.out.values.size(); ++at) {
    layer.out.values[at] += residual * x.values[at];
  }
  auto& communicator = resources.communicator;
  layer.output_cosine = mean_pairwise_cosine(communicator, layer.out, n);
  layer.spread = centred_norm(communicator, layer.out, n);
  return layer;
}

}  // namespace annulus::studies
