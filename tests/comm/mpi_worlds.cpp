// The ranks that the launcher started, with messages whole and in pieces.

#include "annulus/comm/mpi.hpp"
#include "comm/device_transport.hpp"

namespace annulus::comm {
namespace {

World mpi_world(std::string name, Index largest_message) {
  return {std::move(name), [largest_message](const World::Body& body) {
            MpiCommunicator communicator(MPI_COMM_WORLD, largest_message);
            body(communicator);
          }};
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Mpi, Transport,
                         testing::Values(mpi_world("whole", Index{1} << 30),
                                         mpi_world("pieces_of_1000", 1000),
                                         mpi_world("pieces_of_10007", 10007)),
                         name_of_world);

INSTANTIATE_TEST_SUITE_P(Mpi, DeviceTransport,
                         testing::ValuesIn(device_worlds({mpi_world("whole", Index{1} << 30),
                                                          mpi_world("pieces_of_1000", 1000)},
                                                         start_its_way, "staged")),
                         name_of_device_world);

}  // namespace annulus::comm
