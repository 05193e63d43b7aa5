#pragma once
// A sample of many.

#include <algorithm>
#include <vector>

#include "annulus/base/index.hpp"

namespace annulus {

/// At most `most` of the numbers from 0 to count - 1, evenly spread, the first and the last among
/// them.
inline std::vector<int> some_of(int count, int most) {
  std::vector<int> some;
  const Index taken = std::min(count, most);
  for (Index i = 0; i < taken; ++i) {
    some.push_back(static_cast<int>(taken == 1 ? 0 : i * (count - 1) / (taken - 1)));
  }
  return some;
}

}  // namespace annulus
