// beta = gamma ln n, the critical scaling of arXiv 2510.05554.
#include <cmath>

#include "attention/logit_scales/policy.hpp"

namespace annulus::logit_scales {

extern const LogitScalePolicy critical{
    .name = "critical",
    .description = "the critical scaling, whose strength decides between collapse and identity",
    .formula = "gamma ln n",
    .source = "arXiv 2510.05554",
    .keys = {{"gamma", 1.0, {}, "strength"}},
    .base = 1.0,
    .length = ScaleLength::global,
    .beta = [](std::span<const double> keys, const ScaleArguments& at) -> double {
      return keys[0] * std::log(at.n);
    },
};

}  // namespace annulus::logit_scales
