// How problems grow with the ranks.
#include "annulus/sweep/point.hpp"

#include <gtest/gtest.h>

namespace annulus::sweep {
namespace {

TEST(Grown, KeepsTheWorkOrTheMemoryOfARank) {
  EXPECT_EQ(grown(4099, 1, Growth::work), 4099);
  EXPECT_EQ(grown(4099, 7, Growth::none), 4099);
  for (const int ranks : {2, 3, 4, 7, 64, 1000}) {
    const auto work = grown(65536, ranks, Growth::work);
    const auto memory = grown(65536, ranks, Growth::memory);
    for (const auto length : {work, memory}) EXPECT_EQ(length % (2 * ranks), 0);
    const double of_work = static_cast<double>(work) * static_cast<double>(work) / ranks;
    EXPECT_NEAR(of_work / (65536.0 * 65536.0), 1, 2.0 * ranks / static_cast<double>(work) + 1e-9);
    EXPECT_EQ(memory, 65536 * ranks);
  }
  EXPECT_EQ(grown(1, 3, Growth::work), 6) << "a row for each chunk at least";
}

}  // namespace
}  // namespace annulus::sweep
