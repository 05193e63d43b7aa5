// Grok's scale: ln(i) / ln(train_length) beyond the trained length.
#include <cmath>

#include "attention/logit_scales/policy.hpp"

namespace annulus::logit_scales {

extern const LogitScalePolicy grok{
    .name = "grok",
    .description = "log-length scale beyond the trained length",
    .formula = "ln(i) / ln(train_length) if i > train_length, else 1",
    .source = "Grok",
    .keys = {{"train_length", 1024.0, RealRange::above(1.0),
              "length that the model was trained with"}},
    .base = std::nullopt,
    .length = ScaleLength::global,
    .beta = [](std::span<const double> keys, const ScaleArguments& at) -> double {
      return at.i > keys[0] ? std::log(at.i) / std::log(keys[0]) : 1.0;
    },
};

}  // namespace annulus::logit_scales
