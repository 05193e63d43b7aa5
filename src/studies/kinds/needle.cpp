// needle: one query e_1 against one key e_1 and n - 1 keys at cosine rho, in two dimensions. The
// output is the weight of the one key: v is 1 there and 0 elsewhere.
#include <cmath>

#include "annulus/studies/theory.hpp"
#include "studies/axes.hpp"
#include "studies/keys.hpp"
#include "studies/kind.hpp"
#include "studies/layer.hpp"

namespace annulus::studies {
namespace {

results::StudyLayout layout(const StudyConfig& config) {
  results::StudyLayout layout{
      .group = "needle",
      .axes = {length_axis(config), rho_axis(config), gamma_axis(config)},
      .inner_axes = {},
      .measured = {measured("output", "weight of the needle"),
                   measured("max_probability", "largest probability"),
                   measured("entropy", "entropy of attention", "nat"),
                   measured("effective_keys", "effective number of keys e^H", "keys"),
                   measured("participation", "participation ratio of attention", "keys")},
      .theory = {},
      .shown = {"output"}};
  std::vector<std::vector<double>> values(layout.measured.size());
  for_each_point(layout, [&](const PointIndex& point) {
    const auto needle = simplex_layer(SimplexModel::simplex(keys::n.of(config)[point[0]],
                                                            keys::rho.of(config)[point[1]],
                                                            keys::gamma.of(config)[point[2]]));
    values[0].push_back(needle.self_probability);
    values[1].push_back(needle.self_probability);  // gamma >= 0: no other key has more
    values[2].push_back(needle.entropy);
    values[3].push_back(std::exp(needle.entropy));
    values[4].push_back(needle.participation);
  });
  for (std::size_t i = 0; i < values.size(); ++i) {
    add_theory(layout, layout.measured[i], std::move(values[i]));
  }
  return layout;
}

std::vector<double> measure(const StudyConfig& config, const PointIndex& point,
                            const Resources& resources) {
  const Index n = keys::n.of(config)[point[0]];
  const double rho = keys::rho.of(config)[point[1]];
  const auto& communicator = resources.communicator;
  // Away from the ends of the sequence, so that a shard in the middle holds it.
  const Index needle = n / 2;
  LocalRows keys{.dim = 2, .values = {}};
  LocalRows values{.dim = 1, .values = {}};
  for (const Index row : rows_of_rank(n, communicator)) {
    const bool found = row == needle;
    keys.values.push_back(found ? 1 : rho);
    keys.values.push_back(found ? 0 : std::sqrt(1 - rho * rho));
    values.values.push_back(found ? 1 : 0);
  }
  LocalRows query{.dim = 2, .values = {}};
  if (!rows_of_rank(1, communicator).empty()) query.values = {1, 0};
  const auto attended = attend(resources, config.precision, 1, n, keys::gamma.of(config)[point[2]],
                               query, keys, values);
  double own = 0;
  for (const double value : attended.out.values) own += value;
  const auto& means = attended.means;
  return {sum_over_ranks(resources.communicator, own), means["max_probability"], means["entropy"],
          means["effective_keys"], means["participation"]};
}

}  // namespace

namespace kinds {
extern const StudyKind needle{
    .name = "needle",
    .description = "one query against the key that it matches and n - 1 others, in two dimensions",
    .keys = {&keys::n, &keys::rho, &keys::gamma, &keys::seed, &keys::precision},
    .numbers = [](const StudyConfig&, Index n) { return 3 * static_cast<double>(n); },
    .dimension = [](const StudyConfig&, Index) { return Index{2}; },
    .layout = layout,
    .measure = measure,
};
}  // namespace kinds

}  // namespace annulus::studies
