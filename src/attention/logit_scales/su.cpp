// Jianlin Su's log-length scale: beta = ln n / ln base_length.
#include <cmath>

#include "attention/logit_scales/policy.hpp"

namespace annulus::logit_scales {

extern const LogitScalePolicy su{
    .name = "su",
    .description = "the log-length scale, 1 at a length of reference",
    .formula = "ln n / ln base_length",
    .source = "Jianlin Su",
    .keys = {{"base_length", 512.0, RealRange::above(1.0), "length at which beta is 1"}},
    .base = std::nullopt,
    .length = ScaleLength::visible,
    .beta = [](std::span<const double> keys, const ScaleArguments& at) -> double {
      return std::log(at.n) / std::log(keys[0]);
    },
};

}  // namespace annulus::logit_scales
