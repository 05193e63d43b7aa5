// InfoScale: sqrt(1 - n^(-2/d)) / sqrt(1 - train_length^(-2/d)).
#include <cmath>

#include "attention/logit_scales/policy.hpp"

namespace annulus::logit_scales {

extern const LogitScalePolicy infoscale{
    .name = "infoscale",
    .description = "a scale that depends on the head dimension d as well",
    .formula = "sqrt(1 - n^(-2/d)) / sqrt(1 - train_length^(-2/d))",
    .source = "InfoScale",
    .keys = {{"train_length", 2048.0, RealRange::above(1.0),
              "length that the model was trained with"}},
    .base = std::nullopt,
    .length = ScaleLength::visible,
    .beta = [](std::span<const double> keys, const ScaleArguments& at) -> double {
      const double power = -2.0 / static_cast<double>(at.head_dim);
      return std::sqrt(1.0 - std::pow(at.n, power)) / std::sqrt(1.0 - std::pow(keys[0], power));
    },
};

}  // namespace annulus::logit_scales
