// sphere: fixed queries against independent uniform keys on S^(d-1).
#include <cmath>

#include "annulus/studies/theory.hpp"
#include "studies/axes.hpp"
#include "studies/layer.hpp"
#include "studies/tokens.hpp"

namespace annulus::studies {
namespace {

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
      .theory = {}};
  // At fixed beta and n -> infinity, where the attention averages over the sphere.
  std::vector<double> alignment;
  for_each_point(layout, [&](const PointIndex& point) {
    const double beta = config.gamma[point[1]] * std::log(static_cast<double>(config.n[point[0]]));
    alignment.push_back(sphere_alignment(beta, config.dimension));
  });
  add_theory(layout, layout.measured[0], std::move(alignment));
  return layout;
}

std::vector<double> measure(const StudyConfig& config, const PointIndex& point,
                            const Resources& resources) {
  auto& communicator = resources.communicator;
  const Index n = config.n[point[0]];
  const auto keys =
      uniform_on_sphere(config.seed, key_stream, rows_of_rank(n, communicator), config.dimension);
  const auto queries = uniform_on_sphere(
      config.seed, query_stream, rows_of_rank(config.queries, communicator), config.dimension);
  const auto attended = attend(resources, config.precision, config.queries, n,
                               config.gamma[point[1]], queries, keys, keys);
  double alignment = 0;
  for (std::size_t at = 0; at < queries.values.size(); ++at) {
    alignment += queries.values[at] * attended.out.values[at];
  }
  const auto& means = attended.means;
  return {sum_over_ranks(communicator, alignment) / static_cast<double>(config.queries),
          means.max_probability, means.entropy, means.effective_keys, means.participation};
}

}  // namespace

namespace kinds {
extern const StudyKind sphere{.name = "sphere", .layout = layout, .measure = measure};
}  // namespace kinds

}  // namespace annulus::studies
