#pragma once
// What may be chosen, in words.

#include <string>
#include <string_view>
#include <vector>

namespace annulus {

/// "a", "a or b", "a, b or c".
[[nodiscard]] inline std::string choices(const std::vector<std::string_view>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " or " : ", ";
    text += names[i];
  }
  return text;
}

}  // namespace annulus
