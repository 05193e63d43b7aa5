#include "base/range.hpp"

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus {

std::string RealRange::limits() const {
  const bool from = least != std::numeric_limits<double>::lowest();
  const bool to = most != std::numeric_limits<double>::max();
  if (from && to && !without_least && !without_most) return fmt::format("{} to {}", least, most);
  std::string text;
  if (from)
    text = without_least ? fmt::format("above {}", least) : fmt::format("{} or more", least);
  if (from && to) text += " and ";
  if (to) text += without_most ? fmt::format("below {}", most) : fmt::format("{} or less", most);
  return text;
}

std::string RealRange::words() const {
  const auto text = limits();
  return text.empty() ? "a number" : "a number: " + text;
}

void refuse_number(std::string_view text, const std::string& expected) {
  throw InputError(fmt::format("'{}'; expected {}", text, expected));
}

double read_number(std::string_view text, const RealRange& range) {
  const auto value = parse_number<double>(text);
  if (!value || !range.contains(*value)) refuse_number(text, range.words());
  return *value;
}

}  // namespace annulus
