// phase: one layer over correlated tokens, on a grid of lengths, correlations and strengths.
#include <cmath>

#include "annulus/studies/theory.hpp"
#include "studies/axes.hpp"
#include "studies/gradient_norm.hpp"
#include "studies/keys.hpp"
#include "studies/kind.hpp"
#include "studies/layer.hpp"
#include "studies/tokens.hpp"

namespace annulus::studies {
namespace {

constexpr const char* gradient_norm_name = "gradient_norm";

const Key<std::vector<std::string>> measure_key{
    .name = "measure",
    .meaning = "what is costly and only measured on request",
    .allowed = {gradient_norm_name,
                [](const std::string& name) { return name == gradient_norm_name; }},
    .otherwise = std::vector<std::string>{},
};

bool measures_gradient_norm(const StudyConfig& config) {
  return !measure_key.of(config).empty();
}

using Measure = double (*)(const SimplexModel& model, const SimplexLayer& layer);

struct Quantity {
  const char* name;
  const char* long_name;
  const char* units;
  Measure theory;
};

double simplex_eta(const SimplexModel& model, const SimplexLayer&) {
  return simplex_gradient_norm(model, 1, model.directions + 1);
}

/// In the order in which measure() returns them; the last only on request.
constexpr Quantity quantities[] = {
    {"self_probability", "probability of a query's own position", "1",
     [](const SimplexModel&, const SimplexLayer& layer) { return layer.self_probability; }},
    {"output_cosine", "mean pairwise cosine of outputs", "1",
     [](const SimplexModel&, const SimplexLayer& layer) { return layer.output_cosine; }},
    {"contraction", "spread of outputs over spread of tokens", "1",
     [](const SimplexModel&, const SimplexLayer& layer) { return layer.contraction; }},
    {"entropy", "entropy of attention", "nat",
     [](const SimplexModel&, const SimplexLayer& layer) { return layer.entropy; }},
    {"participation", "participation ratio of attention", "keys",
     [](const SimplexModel&, const SimplexLayer& layer) { return layer.participation; }},
    {gradient_norm_name, "input gradient size eta = |dX'/dX|^2 / (n d)", "1", simplex_eta},
};

SimplexModel model_at(const StudyConfig& config, const PointIndex& point) {
  return simplex_model(config, keys::n.of(config)[point[0]], keys::rho.of(config)[point[1]],
                       keys::gamma.of(config)[point[2]]);
}

results::StudyLayout layout(const StudyConfig& config) {
  results::StudyLayout layout{.group = "phase",
                              .axes = {length_axis(config), rho_axis(config), gamma_axis(config)},
                              .inner_axes = {},
                              .measured = {},
                              .theory = {},
                              .shown = {"contraction", gradient_norm_name}};
  for (const auto& quantity : quantities) {
    if (quantity.theory == simplex_eta && !measures_gradient_norm(config)) continue;
    layout.measured.push_back(measured(quantity.name, quantity.long_name, quantity.units));
    if (token_kind(config) == TokenKind::gaussian) continue;  // no closed form at finite d
    std::vector<double> values;
    for_each_point(layout, [&](const PointIndex& point) {
      const auto model = model_at(config, point);
      values.push_back(quantity.theory(model, simplex_layer(model)));
    });
    add_theory(layout, layout.measured.back(), std::move(values));
  }
  return layout;
}

std::vector<double> measure(const StudyConfig& config, const PointIndex& point,
                            const Resources& resources) {
  const Index n = keys::n.of(config)[point[0]];
  const double gamma = keys::gamma.of(config)[point[2]];
  const auto x = make_tokens(token_model(config, n, keys::rho.of(config)[point[1]]),
                             rows_of_rank(n, resources.communicator));
  const auto y = normalised(x);
  const auto layer = apply_layer(resources, config.precision, n, gamma, y, 0, y);
  const double contraction = layer.spread / centred_norm(resources.communicator, y, n);
  std::vector<double> values{layer.means["self_probability"], layer.output_cosine, contraction,
                             layer.means["entropy"], layer.means["participation"]};
  if (measures_gradient_norm(config)) {
    std::vector<double> norms;
    for (Index i = 0; i < x.count(); ++i) norms.push_back(norm(x.row(i)));
    values.push_back(gradient_norm(resources.communicator,
                                   {.y = y,
                                    .norms = norms,
                                    .n = n,
                                    .beta = gamma * std::log(static_cast<double>(n)),
                                    .residual = 0},
                                   resources.threads));
  }
  return values;
}

}  // namespace

namespace kinds {
extern const StudyKind phase{
    .name = "phase",
    .description = "one layer over correlated tokens",
    .keys = {&keys::tokens, &keys::n, &keys::rho, &keys::gamma, &keys::dimension, &keys::directions,
             &keys::seed, &keys::precision, &measure_key},
    .conflict = token_conflict,
    .numbers = token_numbers,
    .dimension = token_dimension,
    .layout = layout,
    .measure = measure,
};
}  // namespace kinds

}  // namespace annulus::studies
