#include "studies/layer.hpp"

#include <numeric>

#include "annulus/base/error.hpp"
#include "annulus/base/tensor.hpp"
#include "annulus/ring/pass_tensors.hpp"
#include "annulus/ring/ring_attention.hpp"

namespace annulus::studies {
namespace {

template <class T>
Attended attend_as(const Plan& plan, const Resources& resources, const LocalRows& queries,
                   const LocalRows& keys, const LocalRows& values) {
  const std::vector<T> q(queries.values.begin(), queries.values.end());
  const std::vector<T> k(keys.values.begin(), keys.values.end());
  const std::vector<T> v(values.values.begin(), values.values.end());
  RingAttention attention(plan, resources.communicator, resources.kernel, resources.threads);
  PassTensors tensors(plan, resources.communicator.rank(), {.statistics = Statistics::on});
  tensors.forward(attention, {.q = dense_view(q.data(), queries.count(), 1, queries.dim),
                              .k = dense_view(k.data(), keys.count(), 1, keys.dim),
                              .v = dense_view(v.data(), values.count(), 1, values.dim)});
  RowStatistics means;
  for (std::size_t s = 0; s < means.values.size(); ++s) {
    const auto of_rows = numbers_of(tensors.statistics().at(s));
    means.values[s] = std::accumulate(of_rows.begin(), of_rows.end(), 0.0);
  }
  resources.communicator.all_reduce(means.values, comm::Reduction::sum);
  for (auto& mean : means.values) mean /= static_cast<double>(plan.problem().documents.queries());
  return {.out = {.dim = values.dim, .values = numbers_of(tensors.out())}, .means = means};
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
                               .peer_memory = kernels::peer_memory_of(resources.kernel.device()),
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
