// What is said of the library that dense products are measured with.
#include "annulus/measure/gemm.hpp"

#include <gtest/gtest.h>

namespace annulus::test {
namespace {

TEST(BlasKernels, AreSaidToLackTheVectorsOfTheCore) {
  EXPECT_TRUE(measure::lacks_avx512("Prescott", true));
  EXPECT_TRUE(measure::lacks_avx512("Haswell", true));
  EXPECT_FALSE(measure::lacks_avx512("SkylakeX", true));
  EXPECT_FALSE(measure::lacks_avx512("Cooperlake", true));
  EXPECT_FALSE(measure::lacks_avx512("Sapphirerapids", true));
  EXPECT_FALSE(measure::lacks_avx512("Haswell", false)) << "a core without AVX-512 has no better";
}

}  // namespace
}  // namespace annulus::test
