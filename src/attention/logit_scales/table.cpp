// Scales that the caller gives for each query; the formula is never asked.
#include <cmath>

#include "attention/logit_scales/policy.hpp"

namespace annulus::logit_scales {

extern const LogitScalePolicy table{
    .name = "table",
    .description = "scales that the input gives for each query, or query and head",
    .formula = "the value in `/logit_scale`",
    .source = "the input of `attend`",
    .keys = {},
    .base = std::nullopt,
    .length = ScaleLength::global,
    .beta = [](std::span<const double>, const ScaleArguments&) -> double { return 1.0; },
};

}  // namespace annulus::logit_scales
