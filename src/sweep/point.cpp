#include "annulus/sweep/point.hpp"

#include <algorithm>
#include <cmath>

namespace annulus::sweep {

Index grown(Index length, int ranks, Growth growth) {
  if (growth == Growth::none || ranks == 1) return length;
  const double factor = growth == Growth::work ? std::sqrt(ranks) : ranks;
  const Index even = 2 * Index{ranks};
  const double chunks = static_cast<double>(length) * factor / static_cast<double>(even);
  return std::max<Index>(1, std::llround(chunks)) * even;
}

}  // namespace annulus::sweep
