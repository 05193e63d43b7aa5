// Llama 4's temperature tuning: 1 + coefficient ln(1 + floor((i + 1) / floor)).
#include <cmath>

#include "attention/logit_scales/policy.hpp"

namespace annulus::logit_scales {

extern const LogitScalePolicy llama4{
    .name = "llama4",
    .description = "temperature tuning of layers without positions",
    .formula = "1 + coefficient ln(1 + floor((i + 1) / floor))",
    .source = "Llama 4",
    .keys = {{"floor", 8192.0, RealRange::above(0.0), "positions from one step to the next"},
             {"coefficient", 0.1, {}, "strength"}},
    .base = std::nullopt,
    .length = ScaleLength::global,
    .beta = [](std::span<const double> keys, const ScaleArguments& at) -> double {
      return 1.0 + keys[1] * std::log1p(std::floor((at.i + 1.0) / keys[0]));
    },
};

}  // namespace annulus::logit_scales
