// depth: layers one after the other, each with a residual and normalised outputs.
#include "annulus/studies/theory.hpp"
#include "studies/axes.hpp"
#include "studies/layer.hpp"
#include "studies/tokens.hpp"

namespace annulus::studies {
namespace {

struct Quantity {
  const char* name;
  const char* long_name;
  const char* units;
  double (*measured)(const Layer& layer, double first_spread);
  double (*theory)(const SimplexLayer& layer);
};

constexpr Quantity quantities[] = {
    {"output_cosine", "mean pairwise cosine of outputs", "1",
     [](const Layer& layer, double) { return layer.output_cosine; },
     [](const SimplexLayer& layer) { return layer.output_cosine; }},
    {"contraction", "spread of outputs over spread of the first layer's tokens", "1",
     [](const Layer& layer, double first_spread) { return layer.spread / first_spread; },
     [](const SimplexLayer& layer) { return layer.contraction; }},
    {"self_probability", "probability of a query's own position", "1",
     [](const Layer& layer, double) { return layer.means.self_probability; },
     [](const SimplexLayer& layer) { return layer.self_probability; }},
    {"entropy", "entropy of attention", "nat",
     [](const Layer& layer, double) { return layer.means.entropy; },
     [](const SimplexLayer& layer) { return layer.entropy; }},
    {"participation", "participation ratio of attention", "keys",
     [](const Layer& layer, double) { return layer.means.participation; },
     [](const SimplexLayer& layer) { return layer.participation; }},
};

results::StudyLayout layout(const StudyConfig& config) {
  results::Axis layers{
      .name = "layer", .values = {}, .counts = true, .long_name = "layer", .units = "1"};
  for (Index layer = 1; layer <= config.layers; ++layer) {
    layers.values.push_back(static_cast<double>(layer));
  }
  results::StudyLayout layout{.group = "depth",
                              .axes = {length_axis(config), rho_axis(config), gamma_axis(config)},
                              .inner_axes = {std::move(layers)},
                              .measured = {},
                              .theory = {}};
  for (const auto& quantity : quantities) {
    layout.measured.push_back(measured(quantity.name, quantity.long_name, quantity.units, "layer"));
    if (config.tokens == TokenKind::gaussian) continue;  // no closed form at finite d
    std::vector<double> values;
    for_each_point(layout, [&](const PointIndex& point) {
      const Index n = config.n[point[0]];
      const auto model =
          SimplexModel::clustered(n, config.tokens == TokenKind::clustered ? config.directions : n,
                                  config.rho[point[1]], config.gamma[point[2]]);
      for (const auto& layer : simplex_network(model, config.layers, config.residual)) {
        values.push_back(quantity.theory(layer));
      }
    });
    add_theory(layout, layout.measured.back(), std::move(values));
  }
  return layout;
}

std::vector<double> measure(const StudyConfig& config, const PointIndex& point,
                            const Resources& resources) {
  const Index n = config.n[point[0]];
  auto y = normalised(make_tokens({.kind = config.tokens,
                                   .n = n,
                                   .rho = config.rho[point[1]],
                                   .dimension = config.dimension,
                                   .directions = config.directions,
                                   .seed = config.seed},
                                  rows_of_rank(n, resources.communicator)));
  const double first_spread = centred_norm(resources.communicator, y, n);
  std::vector<Layer> layers;
  for (Index layer = 0; layer < config.layers; ++layer) {
    layers.push_back(
        apply_layer(resources, config.precision, n, config.gamma[point[2]], y, config.residual, y));
    y = normalised(layers.back().out);
    layers.back().out = {};
  }
  std::vector<double> values;
  for (const auto& quantity : quantities) {
    for (const auto& layer : layers) values.push_back(quantity.measured(layer, first_spread));
  }
  return values;
}

}  // namespace

namespace kinds {
extern const StudyKind depth{.name = "depth", .layout = layout, .measure = measure};
}  // namespace kinds

}  // namespace annulus::studies
