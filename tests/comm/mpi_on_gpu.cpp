// The cases of exchanges between devices on GPUs, one for each rank as far as there are: staged,
// and direct where MPI is CUDA-aware. Nothing is run where there is no GPU.
#include "annulus/comm/mpi.hpp"
#include "annulus/device/device.hpp"
#include "comm/device_transport.hpp"

namespace annulus::comm {
namespace {

DeviceWorld gpu_world(std::string name, Index largest_message, DevicePath path) {
  return {std::move(name), [=](const DeviceWorld::Body& body) {
            MpiCommunicator world(MPI_COMM_WORLD, largest_message, path);
            const auto gpus = static_cast<int>(visible_gpus().size());
            const int place = place_on_node(world.topology(), world.rank());
            body(world, device::open_stream(Device::cuda(place % gpus)));
            world.barrier();  // as in mpi_worlds.cpp
          }};
}

std::vector<DeviceWorld> worlds() {
  std::vector<DeviceWorld> all;
  if (!gpu_problem().empty()) return all;
  for (const auto path : {DevicePath::staged, DevicePath::direct}) {
    if (path == DevicePath::direct && !cuda_aware()) continue;
    const std::string way(name_of(path));
    all.push_back(gpu_world("whole_" + way, usual_largest_message, path));
    all.push_back(gpu_world("pieces_of_1000_" + way, 1000, path));
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(MpiOnGpu, DeviceTransport, testing::ValuesIn(worlds()),
                         name_of_device_world);
INSTANTIATE_TEST_SUITE_P(MpiOnGpu, UnorderedDeviceTransport, testing::ValuesIn(worlds()),
                         name_of_device_world);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DeviceTransport);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(UnorderedDeviceTransport);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Transport);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(UnorderedTransport);

TEST(MpiOnGpu, HasGpus) {
  if (!gpu_problem().empty()) GTEST_SKIP() << "no rank can use a GPU: " << gpu_problem();
}

}  // namespace
}  // namespace annulus::comm
