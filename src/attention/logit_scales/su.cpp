// Jianlin Su's log-length scale: beta = ln n / ln base_length.
#include <cmath>

#include "attention/logit_scales/policy.hpp"

namespace annulus::logit_scales {

extern const LogitScalePolicy su{
    .name = "su",
    .keys = {{"base_length", 512.0, 1.0}},
    .base = std::nullopt,
    .length = ScaleLength::visible,
    .beta = [](std::span<const double> keys, const ScaleArguments& at) -> double {
      return std::log(at.n) / std::log(keys[0]);
    },
};

}  // namespace annulus::logit_scales
