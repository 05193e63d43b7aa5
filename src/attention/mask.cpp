#include "annulus/attention/mask.hpp"

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "base/range.hpp"

namespace annulus {
namespace {

constexpr WholeRange<Index> reach{0, Mask::unbounded};

}  // namespace

Mask Mask::window(Index left, Index right) {
  if (!reach.contains(left) || !reach.contains(right)) {
    throw InputError(fmt::format("mask window:{},{}; expected LEFT and RIGHT from {}", left, right,
                                 reach.limits()));
  }
  return {left, right};
}

Mask Mask::parse(std::string_view text) {
  if (text == "full") return full();
  if (text == "causal") return causal();
  constexpr std::string_view prefix = "window:";
  if (text.starts_with(prefix)) {
    const auto sides = text.substr(prefix.size());
    const auto comma = sides.find(',');
    const auto read = [&](const char* name, std::string_view side) {
      const auto number = parse_number<Index>(side);
      if (number && reach.contains(*number)) return *number;
      throw InputError(
          fmt::format("mask '{}': {} is '{}'; expected {}", text, name, side, reach.words()));
    };
    const Index left = read("LEFT", sides.substr(0, comma));
    if (comma == std::string_view::npos) return window(left);
    return window(left, read("RIGHT", sides.substr(comma + 1)));
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
