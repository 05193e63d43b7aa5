// Grok's scale: ln(i) / ln(train_length) beyond the trained length.
#include <cmath>

#include "attention/logit_scales/policy.hpp"

namespace annulus::logit_scales {

extern const LogitScalePolicy grok{
    .name = "grok",
    .keys = {{"train_length", 1024.0, 1.0}},
    .base = std::nullopt,
    .length = ScaleLength::global,
    .beta = [](std::span<const double> keys, const ScaleArguments& at) -> double {
      return at.i > keys[0] ? std::log(at.i) / std::log(keys[0]) : 1.0;
    },
};

}  // namespace annulus::logit_scales
