#include "annulus/plan/run.hpp"

namespace annulus {

Index row_count(const Shard& shard) {
  Index rows = 0;
  for (const auto& run : shard) rows += run.count;
  return rows;
}

}  // namespace annulus
