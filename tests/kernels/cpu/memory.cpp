// Passes that share memory, one after the other: what is left over in it changes nothing.
#include <cstring>

#include "annulus/device/buffer_pool.hpp"
#include "annulus/kernels/cpu.hpp"
#include "kernels/kernel_run.hpp"

namespace annulus::test {
namespace {

/// A pool whose memory is full of NaN, more than any pass takes at once.
std::shared_ptr<device::BufferPool> pool_of_nan() {
  auto pool = std::make_shared<device::BufferPool>(device::cpu_stream());
  constexpr std::size_t bytes = 64 << 20;
  std::vector<device::Buffer> buffers;
  for (int i = 0; i < 4; ++i) {
    buffers.push_back(pool->take(bytes));
    std::memset(buffers.back().data(), 0xff, bytes);
  }
  for (auto& buffer : buffers) pool->give(std::move(buffer));
  return pool;
}

template <class T>
void expect_same_bits(const Problem& problem) {
  const auto whole = random_problem<T>(problem, 8);
  const auto dout = random_dout<T>(problem);
  KernelRun run{.sharding = Sharding::zigzag, .shards = 2, .threads = 2, .by_states = true};
  const auto alone = attend_by(kernels::cpu(), whole, run);
  const auto gradients_alone = gradients_by(kernels::cpu(), whole, dout, run);
  run.memory = pool_of_nan();
  const auto sharing = attend_by(kernels::cpu(), whole, run);
  const auto gradients = gradients_by(kernels::cpu(), whole, dout, run);
  EXPECT_EQ(alone.out.values, sharing.out.values);
  EXPECT_EQ(alone.lse.values, sharing.lse.values);
  for (std::size_t s = 0; s < alone.statistics.size(); ++s) {
    EXPECT_EQ(alone.statistics[s].values, sharing.statistics[s].values) << s;
  }
  EXPECT_EQ(gradients_alone.dq.values, gradients.dq.values);
  EXPECT_EQ(gradients_alone.dk.values, gradients.dk.values);
  EXPECT_EQ(gradients_alone.dv.values, gradients.dv.values);
}

// Tiles that are not whole, and with the window tiles of which register tiles are left out.
TEST(CpuMemory, WhatIsLeftOverChangesNothing) {
  for (const auto* mask : {"full", "causal", "window:50"}) {
    const Problem problem{.query_heads = 4,
                          .key_heads = 2,
                          .head_dim = 33,
                          .value_dim = 20,
                          .documents = Documents::single(331),
                          .mask = Mask::parse(mask)};
    expect_same_bits<float>(problem);
    expect_same_bits<double>(problem);
    expect_same_bits<BFloat16>(problem);
  }
}

TEST(CpuMemory, NorForFewQueries) {
  for (const Index dim : {33, 64}) {
    const Problem problem{.query_heads = 6,
                          .key_heads = 2,
                          .head_dim = dim,
                          .documents = Documents::single(3, 499),
                          .mask = Mask::causal()};
    expect_same_bits<float>(problem);
    expect_same_bits<BFloat16>(problem);
  }
}

TEST(CpuMemory, IsGivenBack) {
  const auto whole =
      random_problem<float>({.head_dim = 64, .documents = Documents::single(101)}, 8);
  const auto memory = std::make_shared<device::BufferPool>(device::cpu_stream());
  static_cast<void>(attend_by(kernels::cpu(), whole, {.memory = memory}));
  // All that is there is free, so that the largest buffer that a pass took is taken again.
  const auto buffer = memory->take(1 << 19);
  EXPECT_GT(buffer.size(), std::size_t{1} << 19);
}

}  // namespace
}  // namespace annulus::test
