// The ranks that the launcher started, with messages whole and in pieces.

#include <chrono>

#include "annulus/comm/mpi.hpp"
#include "comm/device_transport.hpp"

namespace annulus::comm {
namespace {

World mpi_world(std::string name, Index largest_message,
                DevicePath device_path = DevicePath::staged, const Watch& watch = {}) {
  return {std::move(name), [=](const World::Body& body) {
            MpiCommunicator communicator(MPI_COMM_WORLD, largest_message, device_path, watch);
            body(communicator);
            // What exchanges that failed have left over has to arrive before this communicator
            // goes: MPI may give the next one the same id, and then what comes late to it.
            communicator.barrier();
          }};
}

/// MPI can be given memory of the model of a device, which is the host's, whether or not it could
/// be given a GPU's.
std::vector<DeviceWorld> mpi_device_worlds(DevicePath device_path, const std::string& way) {
  return device_worlds({mpi_world("whole", Index{1} << 30, device_path),
                        mpi_world("pieces_of_1000", 1000, device_path)},
                       way);
}

const World worlds[] = {mpi_world("whole", Index{1} << 30), mpi_world("pieces_of_1000", 1000),
                        mpi_world("pieces_of_10007", 10007),
                        mpi_world("pieces_of_1000_with_a_timeout", 1000, DevicePath::staged,
                                  {.timeout = std::chrono::seconds(600)})};

}  // namespace

INSTANTIATE_TEST_SUITE_P(Mpi, Transport, testing::ValuesIn(worlds), name_of_world);
INSTANTIATE_TEST_SUITE_P(Mpi, UnorderedTransport, testing::ValuesIn(worlds), name_of_world);

INSTANTIATE_TEST_SUITE_P(MpiDirect, DeviceTransport,
                         testing::ValuesIn(mpi_device_worlds(DevicePath::direct, "direct")),
                         name_of_device_world);
INSTANTIATE_TEST_SUITE_P(MpiDirect, UnorderedDeviceTransport,
                         testing::ValuesIn(mpi_device_worlds(DevicePath::direct, "direct")),
                         name_of_device_world);

INSTANTIATE_TEST_SUITE_P(MpiStaged, DeviceTransport,
                         testing::ValuesIn(mpi_device_worlds(DevicePath::staged, "staged")),
                         name_of_device_world);
INSTANTIATE_TEST_SUITE_P(MpiStaged, UnorderedDeviceTransport,
                         testing::ValuesIn(mpi_device_worlds(DevicePath::staged, "staged")),
                         name_of_device_world);

}  // namespace annulus::comm
