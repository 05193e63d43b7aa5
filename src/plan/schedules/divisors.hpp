#pragma once
// Sizes into which a number of ranks can be cut.

#include <string>
#include <string_view>
#include <vector>

#include "base/choices.hpp"

namespace annulus::schedules {

/// From 1 to `number`, ascending.
[[nodiscard]] inline std::vector<int> divisors(int number) {
  std::vector<int> small;
  std::vector<int> large;
  for (int divisor = 1; divisor <= number / divisor; ++divisor) {
    if (number % divisor != 0) continue;
    small.push_back(divisor);
    if (divisor != number / divisor) large.push_back(number / divisor);
  }
  small.insert(small.end(), large.rbegin(), large.rend());
  return small;
}

/// As in "1, 2 or 4".
[[nodiscard]] inline std::string choices_of(const std::vector<int>& numbers) {
  std::vector<std::string> texts;
  for (const int number : numbers) texts.push_back(std::to_string(number));
  return choices({texts.begin(), texts.end()});
}

}  // namespace annulus::schedules
