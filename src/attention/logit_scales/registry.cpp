// The list of policies: one line each.
#include <array>

#include "attention/logit_scales/policy.hpp"

namespace annulus {
namespace logit_scales {
extern const LogitScalePolicy none;
extern const LogitScalePolicy critical;
extern const LogitScalePolicy ssmax;
extern const LogitScalePolicy su;
extern const LogitScalePolicy qwen;
extern const LogitScalePolicy yarn;
extern const LogitScalePolicy llama4;
extern const LogitScalePolicy ministral;
extern const LogitScalePolicy grok;
extern const LogitScalePolicy infoscale;
extern const LogitScalePolicy table;
}  // namespace logit_scales

std::span<const LogitScalePolicy* const> logit_scale_policies() {
  using namespace logit_scales;
  static constexpr std::array<const LogitScalePolicy*, 11> all{
      &none, &critical, &ssmax, &su, &qwen, &yarn, &llama4, &ministral, &grok, &infoscale, &table};
  return all;
}

}  // namespace annulus
