// Qwen's logn attention: ln(i + 1) / ln(train_length) beyond the trained length.
#include <cmath>

#include "attention/logit_scales/policy.hpp"

namespace annulus::logit_scales {

extern const LogitScalePolicy qwen{
    .name = "qwen",
    .description = "logn attention",
    .formula = "ln(i + 1) / ln(train_length) if i + 1 > train_length, else 1",
    .source = "Qwen",
    .keys = {{"train_length", 2048.0, RealRange::above(1.0),
              "length that the model was trained with"}},
    .base = std::nullopt,
    .length = ScaleLength::global,
    .beta = [](std::span<const double> keys, const ScaleArguments& at) -> double {
      const double n = at.i + 1.0;
      return n > keys[0] ? std::log(n) / std::log(keys[0]) : 1.0;
    },
};

}  // namespace annulus::logit_scales
