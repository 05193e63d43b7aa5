// NCCL itself, as far as one GPU goes: the cases of every transport with one rank, and a message of
// the device to itself. Nothing is run where libnccl is not there.
#include <vector>

#include <gtest/gtest.h>

#include "annulus/comm/libraries.hpp"
#include "annulus/comm/nccl.hpp"
#include "annulus/comm/self.hpp"
#include "annulus/device/buffer.hpp"
#include "annulus/device/device.hpp"
#include "comm/transport.hpp"

namespace annulus::comm {
namespace {

/// Why NCCL cannot run here; empty where it can.
std::string problem() {
  return nccl_problem().empty() ? gpu_problem() : nccl_problem();
}

void run_alone(const World::Body& body) {
  SelfCommunicator host;
  const auto communicator = nccl(host, device::open_stream(nccl_device(host)), {.timeout = 60});
  body(*communicator);
}

std::vector<World> worlds() {
  return problem().empty() ? std::vector<World>{{"nccl_on_gpu", run_alone}} : std::vector<World>{};
}

INSTANTIATE_TEST_SUITE_P(OnGpu, Transport, testing::ValuesIn(worlds()), name_of_world);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Transport);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(UnorderedTransport);

TEST(NcclOnGpu, MemoryOfTheDeviceGoesToItself) {
  if (!problem().empty()) GTEST_SKIP() << problem();
  run_alone([](Communicator& world) {
    const auto stream = device::open_stream({DeviceKind::cuda, 0});
    const Bytes bytes = random_bytes(300007, 1);
    const device::Buffer from(stream, bytes.size());
    const device::Buffer to(stream, bytes.size());
    stream->upload(device::RowCopy::of_bytes(from.data(), bytes.data(), bytes.size()));
    stream->clear(to.data(), to.size());
    world.exchange_on(*stream, Send{0, from.bytes()}, Receive{0, to.bytes()})->wait();
    Bytes got(bytes.size());
    stream->download(device::RowCopy::of_bytes(got.data(), to.data(), got.size()));
    stream->synchronize();
    EXPECT_EQ(got, bytes);
  });
}

}  // namespace
}  // namespace annulus::comm
