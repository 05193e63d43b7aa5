// The ranks that the launcher started, with messages whole and in pieces.

#include "annulus/comm/mpi.hpp"
#include "comm/transport.hpp"

namespace annulus::comm {
namespace {

World mpi_world(std::string name, Index largest_message) {
  return {std::move(name), [largest_message](const World::Body& body) {
            MpiCommunicator communicator(MPI_COMM_WORLD, largest_message);
            body(communicator);
          }};
}

const World worlds[] = {mpi_world("whole", Index{1} << 30), mpi_world("pieces_of_1000", 1000),
                        mpi_world("pieces_of_10007", 10007)};

}  // namespace

INSTANTIATE_TEST_SUITE_P(Mpi, Transport, testing::ValuesIn(worlds), name_of_world);
INSTANTIATE_TEST_SUITE_P(Mpi, UnorderedTransport, testing::ValuesIn(worlds), name_of_world);

}  // namespace annulus::comm
