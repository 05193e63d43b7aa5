// The cases of every transport over NCCL, on devices that work early and late.

#include "comm/device_transport.hpp"
#include "comm/nccl_world.hpp"

namespace annulus::comm {
namespace {

std::vector<World> nccl_worlds() {
  std::vector<World> worlds;
  for (const auto& on_devices : nccl_device_worlds()) {
    worlds.push_back({on_devices.name, [run = on_devices.run](const World::Body& body) {
                        run([&](Communicator& world, const DeviceStream&) { body(world); });
                      }});
  }
  return worlds;
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Nccl, Transport, testing::ValuesIn(nccl_worlds()), name_of_world);
INSTANTIATE_TEST_SUITE_P(Nccl, DeviceTransport, testing::ValuesIn(nccl_device_worlds()),
                         name_of_device_world);

// One stream, one order: a collective comes after the exchanges that were asked for before it.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(UnorderedTransport);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(UnorderedDeviceTransport);

}  // namespace annulus::comm
