// The launcher of GPUs on a machine that has none.
#include <gtest/gtest.h>

#include <string>

#include "annulus/base/error.hpp"
#include "annulus/device/device.hpp"
#include "kernels/cuda/cuda_launcher.hpp"

namespace annulus::test {
namespace {

namespace gpu = kernels::gpu;

TEST(CudaLauncher, SaysWhatIsMissingWhereThereIsNoGpu) {
  if (cuda_runtime_version().empty()) {
    EXPECT_THROW(static_cast<void>(gpu::cuda_launcher()), InputError);
    return;
  }
  const auto start = [](int rows) {
    gpu::cuda_launcher().start({.state = {}, .rows = rows, .heads = 1, .value_dim = 64},
                               *device::cpu_stream());
  };
  // Nothing to do needs no GPU.
  EXPECT_NO_THROW(start(0));
  if (!visible_gpus().empty()) return;
  try {
    start(1);
    FAIL() << "a kernel ran without a GPU";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("cuda"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace annulus::test
