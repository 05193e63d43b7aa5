// What streams of CUDA ask the runtime for, which is not there: tests/device/fake_cuda.hpp.
#include "device/cuda_stream.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "annulus/base/error.hpp"
#include "annulus/device/buffer.hpp"
#include "device/fake_cuda.hpp"

namespace annulus::device {
namespace {

using test::FakeCuda;
using testing::Contains;
using testing::ElementsAre;
using testing::Not;

class CudaStreams : public testing::Test {
 protected:
  CudaStreams() { cuda.calls.clear(); }
  ~CudaStreams() override {
    EXPECT_TRUE(cuda.pools.empty()) << "memory has not gone back to the driver";
    EXPECT_TRUE(cuda.separate.empty());
  }
  static std::shared_ptr<Stream> open(int index) {
    return std::make_shared<CudaStream>(Device::cuda(index));
  }
  FakeCuda& cuda = FakeCuda::get();
};

// The default pool is that of others: the fake has no function that tells it.
TEST_F(CudaStreams, ShareAPoolOfTheirOwnOnEachGpu) {
  const auto one = open(1);
  const auto two = open(1);
  static_cast<void>(two->transfers());
  const auto other = open(0);
  ASSERT_EQ(cuda.pools.size(), 2U);
  EXPECT_EQ(std::ranges::count(cuda.calls, "cudaMemPoolSetAttribute"), 2) << "once each";
  const auto& pool = *cuda.pools.front();
  EXPECT_EQ(pool.device, 1);
  EXPECT_EQ(pool.threshold, ~std::size_t{0});
  EXPECT_THAT(pool.readers, ElementsAre(0)) << "not itself, nor one that cannot";
  const Buffer first(one, 100);
  const Buffer second(two, 100);
  EXPECT_EQ(pool.allocations, 2);
  EXPECT_EQ(cuda.pools.back()->allocations, 0);
}

TEST_F(CudaStreams, GiveMemoryBackWhenTheLastOfThemGoes) {
  auto one = open(0);
  auto buffer = Buffer(open(0), 100);  // keeps its stream alive
  one.reset();
  EXPECT_THAT(cuda.calls, Not(Contains("cudaMemPoolDestroy")));
  buffer = Buffer();
  EXPECT_THAT(cuda.calls, Contains("cudaMemPoolDestroy"));
  const auto again = open(0);
  EXPECT_EQ(cuda.pools.size(), 1U);
}

TEST_F(CudaStreams, ExportWhatCudaMallocGivesThem) {
  const auto stream = open(0);
  {
    const Buffer buffer(stream, 100, Allocation::exportable);
    EXPECT_THAT(cuda.separate, ElementsAre(buffer.data()));
    EXPECT_EQ(cuda.pools.front()->allocations, 0);
    cuda.calls.clear();
  }
  EXPECT_THAT(cuda.calls, ElementsAre("cudaStreamSynchronize", "cudaFree"));
}

// What the pool keeps is not short elsewhere.
TEST_F(CudaStreams, ReleaseThePoolWhereMemoryIsShort) {
  const auto stream = open(0);
  cuda.separate_left = 0;
  cuda.separate_in_pool = 1;
  cuda.calls.clear();
  {
    const Buffer buffer(stream, 100, Allocation::exportable);
    EXPECT_THAT(cuda.calls, ElementsAre("cudaMalloc", "cudaStreamSynchronize", "cudaMemPoolTrimTo",
                                        "cudaMalloc"));
  }
  EXPECT_THROW(Buffer(stream, 100, Allocation::exportable), Error);
  cuda.separate_left = 1 << 30;
}

}  // namespace
}  // namespace annulus::device
