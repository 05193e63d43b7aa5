// No scale beyond the base.
#include <cmath>

#include "attention/logit_scales/policy.hpp"

namespace annulus::logit_scales {

extern const LogitScalePolicy none{
    .name = "none",
    .description = "no scale beyond the base",
    .formula = "1",
    .source = "attention as it is usually scaled",
    .keys = {},
    .base = std::nullopt,
    .length = ScaleLength::global,
    .beta = [](std::span<const double>, const ScaleArguments&) -> double { return 1.0; },
};

}  // namespace annulus::logit_scales
