#include "annulus/attention/mask.hpp"

#include <optional>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "attention/parse.hpp"

namespace annulus {

Mask Mask::window(Index left, Index right) {
  if (left < 0 || right < 0 || left > unbounded || right > unbounded) {
    throw InputError(fmt::format(
        "mask window:{},{} is out of range; LEFT and RIGHT are numbers of keys, 0 or more", left,
        right));
  }
  return {left, right};
}

Mask Mask::parse(std::string_view text) {
  if (text == "full") return full();
  if (text == "causal") return causal();
  constexpr std::string_view prefix = "window:";
  if (text.starts_with(prefix)) {
    const auto reach = text.substr(prefix.size());
    const auto comma = reach.find(',');
    const auto left = parse_index(reach.substr(0, comma));
    const auto right = comma == std::string_view::npos ? std::optional<Index>(0)
                                                       : parse_index(reach.substr(comma + 1));
    if (left && right) return window(*left, *right);
  }
  throw InputError(fmt::format(
      "unknown mask '{}'; expected full, causal, window:LEFT or window:LEFT,RIGHT", text));
}

std::string Mask::name() const {
  if (*this == full()) return "full";
  if (*this == causal()) return "causal";
  return right_ == 0 ? fmt::format("window:{}", left_) : fmt::format("window:{},{}", left_, right_);
}

}  // namespace annulus
