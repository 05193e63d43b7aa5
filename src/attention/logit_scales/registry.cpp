// The logit scales, in the order in which they are listed to users: one line each.
// clang-format off
#define ANNULUS_LOGIT_SCALES(scale) \
  scale(none)                       \
  scale(critical)                   \
  scale(ssmax)                      \
  scale(su)                         \
  scale(qwen)                       \
  scale(yarn)                       \
  scale(llama4)                     \
  scale(ministral)                  \
  scale(grok)                       \
  scale(infoscale)                  \
  scale(table)
// clang-format on

#include <array>

#include "attention/logit_scales/policy.hpp"

namespace annulus {
namespace logit_scales {
#define ANNULUS_DECLARE(name) extern const LogitScalePolicy name;
ANNULUS_LOGIT_SCALES(ANNULUS_DECLARE)
}  // namespace logit_scales

std::span<const LogitScalePolicy* const> logit_scale_policies() {
#define ANNULUS_ADDRESS(name) &logit_scales::name,
  static constexpr std::array all{ANNULUS_LOGIT_SCALES(ANNULUS_ADDRESS)};
  return all;
}

}  // namespace annulus
