// Ministral 3's scale: 1 + beta ln(1 + floor(i / original)).
#include <cmath>

#include "attention/logit_scales/policy.hpp"

namespace annulus::logit_scales {

extern const LogitScalePolicy ministral{
    .name = "ministral",
    .description = "a scale that grows beyond the original context",
    .formula = "1 + beta ln(1 + floor(i / original))",
    .source = "Ministral 3",
    .keys = {{"beta", 0.1, {}, "strength"},
             {"original", 16384.0, RealRange::above(0.0), "context before it was stretched"}},
    .base = std::nullopt,
    .length = ScaleLength::global,
    .beta = [](std::span<const double> keys, const ScaleArguments& at) -> double {
      return 1.0 + keys[0] * std::log1p(std::floor(at.i / keys[1]));
    },
};

}  // namespace annulus::logit_scales
