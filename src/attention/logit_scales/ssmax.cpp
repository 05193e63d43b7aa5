// Scalable softmax, arXiv 2501.19399: beta = s ln n.
#include <cmath>

#include "attention/logit_scales/policy.hpp"

namespace annulus::logit_scales {

extern const LogitScalePolicy ssmax{
    .name = "ssmax",
    .description = "scalable softmax, which keeps attention from fading with the context",
    .formula = "s ln n",
    .source = "arXiv 2501.19399",
    .keys = {{"s", 1.0, {}, "strength; learned per head in the paper"}},
    .base = std::nullopt,
    .length = ScaleLength::visible,
    .beta = [](std::span<const double> keys, const ScaleArguments& at) -> double {
      return keys[0] * std::log(at.n);
    },
};

}  // namespace annulus::logit_scales
