#include "annulus/device/device.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "annulus/base/build.hpp"

namespace annulus {
namespace {

TEST(Device, HasANameForEachKind) {
  EXPECT_EQ(name_of(Device::cpu().kind), "cpu");
  EXPECT_EQ(name_of(Device::cuda(3).kind), "cuda");
  EXPECT_EQ(Device::cuda(3).index, 3);
}

// On a machine without a GPU or without a driver, there is none to look at, and that is no error.
TEST(Device, DescribesEachGpuThatIsThere) {
  for (int repetition = 0; repetition < 2; ++repetition) {
    const auto gpus = visible_gpus();
    EXPECT_TRUE(gpus.empty() || build_features().cuda);
    for (const auto& gpu : gpus) {
      EXPECT_FALSE(gpu.name.empty());
      EXPECT_THAT(gpu.address, testing::MatchesRegex("[0-9a-f]+:[0-9a-f]+:[0-9a-f]+"));
      EXPECT_GT(gpu.memory_bytes, std::size_t{1} << 28);
      EXPECT_GE(gpu.compute_major, 5);
      EXPECT_GE(gpu.compute_minor, 0);
    }
  }
}

TEST(Device, SaysWhatTheBuildLinks) {
  EXPECT_EQ(cuda_runtime_version().empty(), !build_features().cuda);
  if (build_features().cuda) {
    EXPECT_THAT(cuda_runtime_version(), testing::MatchesRegex("[0-9]+\\.[0-9]+"));
  }
}

}  // namespace
}  // namespace annulus
