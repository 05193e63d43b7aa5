// YaRN's temperature, arXiv 2309.00071: (0.1 mscale ln(factor) + 1)^2, and 1 where nothing is
// stretched, as in the code of its authors.
#include <cmath>

#include "attention/logit_scales/policy.hpp"

namespace annulus::logit_scales {

extern const LogitScalePolicy yarn{
    .name = "yarn",
    .description = "the temperature of a context stretched by interpolation",
    .formula = "(0.1 mscale ln(factor) + 1)^2 if factor > 1, else 1",
    .source = "YaRN, arXiv 2309.00071",
    .keys = {{"factor", 4.0, RealRange::above(0.0), "by how much the context is stretched"},
             {"mscale", 1.0, {}, "strength"}},
    .base = std::nullopt,
    .length = ScaleLength::global,
    .beta = [](std::span<const double> keys, const ScaleArguments&) -> double {
      const double root = keys[0] > 1.0 ? 0.1 * keys[1] * std::log(keys[0]) + 1.0 : 1.0;
      return root * root;
    },
};

}  // namespace annulus::logit_scales
