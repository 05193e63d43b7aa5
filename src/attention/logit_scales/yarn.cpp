// YaRN's temperature, arXiv 2309.00071: (0.1 mscale ln(factor) + 1)^2.
#include <cmath>

#include "attention/logit_scales/policy.hpp"

namespace annulus::logit_scales {

extern const LogitScalePolicy yarn{
    .name = "yarn",
    .keys = {{"factor", 4.0, 0.0}, {"mscale", 1.0, any_value}},
    .base = std::nullopt,
    .length = ScaleLength::global,
    .beta = [](std::span<const double> keys, const ScaleArguments&) -> double {
      const double root = 0.1 * keys[1] * std::log(keys[0]) + 1.0;
      return root * root;
    },
};

}  // namespace annulus::logit_scales
