// sphere: fixed queries against independent uniform keys on S^(d-1).
#include <cmath>

#include "annulus/studies/theory.hpp"
#include "studies/axes.hpp"
#include "studies/keys.hpp"
#include "studies/kind.hpp"
#include "studies/layer.hpp"
#include "studies/tokens.hpp"

namespace annulus::studies {
namespace {

const Key<Index> dimension_key{
    .name = "dimension",
    .meaning = "dimension d of the sphere S^(d-1)",
    .allowed = whole_numbers(2, most_dimension),
};

const Key<Index> queries_key{
    .name = "queries",
    .meaning = "queries, over which results are means",
    .allowed = whole_numbers(1, most_tokens),
    .otherwise = 64,
};

enum Streams : std::uint64_t { key_stream = 0, query_stream = 1 };

results::StudyLayout layout(const StudyConfig& config) {
  results::StudyLayout layout{
      .group = "sphere",
      .axes = {length_axis(config), gamma_axis(config)},
      .inner_axes = {},
      .measured = {measured("alignment", "mean of <query, output>"),
                   measured("max_probability", "largest probability"),
                   measured("entropy", "entropy of attention", "nat"),
                   measured("effective_keys", "effective number of keys e^H", "keys"),
                   measured("participation", "participation ratio of attention", "keys")},
      .theory = {},
      .shown = {"alignment"}};
  // At fixed beta and n -> infinity, where the attention averages over the sphere.
  std::vector<double> alignment;
  for_each_point(layout, [&](const PointIndex& point) {
    const double beta = keys::gamma.of(config)[point[1]] *
                        std::log(static_cast<double>(keys::n.of(config)[point[0]]));
    alignment.push_back(sphere_alignment(beta, dimension_key.of(config)));
  });
  add_theory(layout, layout.measured[0], std::move(alignment));
  return layout;
}

std::vector<double> measure(const StudyConfig& config, const PointIndex& point,
                            const Resources& resources) {
  auto& communicator = resources.communicator;
  const auto seed = static_cast<std::uint64_t>(keys::seed.of(config));
  const Index dimension = dimension_key.of(config);
  const Index query_count = queries_key.of(config);
  const Index n = keys::n.of(config)[point[0]];
  const auto keys = uniform_on_sphere(seed, key_stream, rows_of_rank(n, communicator), dimension);
  const auto queries =
      uniform_on_sphere(seed, query_stream, rows_of_rank(query_count, communicator), dimension);
  const auto attended = attend(resources, config.precision, query_count, n,
                               keys::gamma.of(config)[point[1]], queries, keys, keys);
  double alignment = 0;
  for (std::size_t at = 0; at < queries.values.size(); ++at) {
    alignment += queries.values[at] * attended.out.values[at];
  }
  const auto& means = attended.means;
  return {sum_over_ranks(communicator, alignment) / static_cast<double>(query_count),
          means["max_probability"], means["entropy"], means["effective_keys"],
          means["participation"]};
}

}  // namespace

namespace kinds {
extern const StudyKind sphere{
    .name = "sphere",
    .description = "fixed queries against independent uniform keys on a sphere",
    .keys = {&keys::n, &keys::gamma, &dimension_key, &queries_key, &keys::seed, &keys::precision},
    .numbers =
        [](const StudyConfig& config, Index n) {
          return static_cast<double>(n) * static_cast<double>(dimension_key.of(config));
        },
    .dimension = [](const StudyConfig& config, Index) { return dimension_key.of(config); },
    .layout = layout,
    .measure = measure,
};
}  // namespace kinds

}  // namespace annulus::studies
