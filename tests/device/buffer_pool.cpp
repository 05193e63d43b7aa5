#include "annulus/device/buffer_pool.hpp"

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "support/model_device.hpp"

namespace annulus::test {
namespace {

constexpr std::size_t mega = std::size_t{1} << 20;

/// Takes buffers and gives them back, as a pass does.
void pass(device::BufferPool& pool, std::initializer_list<std::size_t> sizes) {
  std::vector<device::Buffer> buffers;
  for (const auto size : sizes) buffers.push_back(pool.take(size));
  for (auto& buffer : buffers) pool.give(std::move(buffer));
}

TEST(BufferPool, TwoKindsOfPassesInTurnTakeNoNewMemory) {
  const auto device = std::make_shared<ModelDevice>(Order::early);
  device::BufferPool pool(std::make_shared<ModelStream>(device));
  const auto one = [&] { pass(pool, {20 * mega}); };
  const auto other = [&] { pass(pool, {mega, mega, 2 * mega, 3 * mega}); };
  other();
  one();
  const auto held = device->bytes_in_use();
  EXPECT_GE(held, 27 * mega);
  for (int turn = 0; turn < 4; ++turn) {
    other();
    EXPECT_EQ(device->bytes_in_use(), held);
    one();
    EXPECT_EQ(device->bytes_in_use(), held);
  }
}

TEST(BufferPool, HasMemoryOfOneKind) {
  const auto stream = model_stream(Order::early);
  for (const auto allocation :
       {device::Allocation::stream_ordered, device::Allocation::exportable}) {
    device::BufferPool pool(stream, allocation);
    const auto buffer = pool.take(64);
    EXPECT_EQ(ModelDevice::any_has_stream_ordered(buffer.data()),
              allocation == device::Allocation::stream_ordered);
  }
}

TEST(BufferPool, LetsLargeBuffersGoThatAreOfNoUse) {
  const auto device = std::make_shared<ModelDevice>(Order::early);
  device::BufferPool pool(std::make_shared<ModelStream>(device));
  pass(pool, {64 * mega});
  EXPECT_GE(device->bytes_in_use(), 64 * mega);
  // Neither too little for it nor more than that: it is another one.
  pass(pool, {16 * mega});
  EXPECT_LT(device->bytes_in_use(), 17 * mega);
  auto same = pool.take(10 * mega);
  EXPECT_GE(same.size(), 16 * mega);
}

}  // namespace
}  // namespace annulus::test
