// depth: layers one after the other, each with a residual and normalised outputs.
#include "annulus/studies/theory.hpp"
#include "studies/axes.hpp"
#include "studies/keys.hpp"
#include "studies/kind.hpp"
#include "studies/layer.hpp"
#include "studies/tokens.hpp"

namespace annulus::studies {
namespace {

const Key<Index> layers_key{
    .name = "layers",
    .meaning = "layers, one after the other",
    .allowed = whole_numbers(1, 1000000),
};

const Key<double> residual_key{
    .name = "residual",
    .meaning = "alpha: what a layer adds of its tokens to their attention",
    .allowed = in_range<double>(RealRange{.least = -1e6, .most = 1e6}),
    .otherwise = 0,
};

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
     [](const Layer& layer, double) { return layer.means["self_probability"]; },
     [](const SimplexLayer& layer) { return layer.self_probability; }},
    {"entropy", "entropy of attention", "nat",
     [](const Layer& layer, double) { return layer.means["entropy"]; },
     [](const SimplexLayer& layer) { return layer.entropy; }},
    {"participation", "participation ratio of attention", "keys",
     [](const Layer& layer, double) { return layer.means["participation"]; },
     [](const SimplexLayer& layer) { return layer.participation; }},
};

results::StudyLayout layout(const StudyConfig& config) {
  results::Axis layers{
      .name = "layer", .values = {}, .counts = true, .long_name = "layer", .units = "1"};
  for (Index layer = 1; layer <= layers_key.of(config); ++layer) {
    layers.values.push_back(static_cast<double>(layer));
  }
  results::StudyLayout layout{.group = "depth",
                              .axes = {length_axis(config), rho_axis(config), gamma_axis(config)},
                              .inner_axes = {std::move(layers)},
                              .measured = {},
                              .theory = {},
                              .shown = {"contraction"}};
  for (const auto& quantity : quantities) {
    layout.measured.push_back(measured(quantity.name, quantity.long_name, quantity.units, "layer"));
    if (token_kind(config) == TokenKind::gaussian) continue;  // no closed form at finite d
    std::vector<double> values;
    for_each_point(layout, [&](const PointIndex& point) {
      const auto model =
          simplex_model(config, keys::n.of(config)[point[0]], keys::rho.of(config)[point[1]],
                        keys::gamma.of(config)[point[2]]);
      for (const auto& layer :
           simplex_network(model, layers_key.of(config), residual_key.of(config))) {
        values.push_back(quantity.theory(layer));
      }
    });
    add_theory(layout, layout.measured.back(), std::move(values));
  }
  return layout;
}

std::vector<double> measure(const StudyConfig& config, const PointIndex& point,
                            const Resources& resources) {
  const Index n = keys::n.of(config)[point[0]];
  auto y = normalised(make_tokens(token_model(config, n, keys::rho.of(config)[point[1]]),
                                  rows_of_rank(n, resources.communicator)));
  const double first_spread = centred_norm(resources.communicator, y, n);
  std::vector<Layer> layers;
  for (Index layer = 0; layer < layers_key.of(config); ++layer) {
    layers.push_back(apply_layer(resources, config.precision, n, keys::gamma.of(config)[point[2]],
                                 y, residual_key.of(config), y));
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
extern const StudyKind depth{
    .name = "depth",
    .description = "layers one after the other, each with a residual and normalised outputs",
    .keys = {&keys::tokens, &keys::n, &keys::rho, &keys::gamma, &keys::dimension, &keys::directions,
             &layers_key, &residual_key, &keys::seed, &keys::precision},
    .inner = &layers_key,
    .conflict = token_conflict,
    .numbers = token_numbers,
    .dimension = token_dimension,
    .layout = layout,
    .measure = measure,
};
}  // namespace kinds

}  // namespace annulus::studies
