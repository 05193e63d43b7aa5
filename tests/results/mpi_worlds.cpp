// The ranks that the launcher started.

#include "annulus/comm/mpi.hpp"
#include "results/attention_world.hpp"

namespace annulus::results {
namespace {

const comm::World mpi_world{"mpi", [](const comm::World::Body& body) {
                              comm::MpiCommunicator communicator(MPI_COMM_WORLD);
                              body(communicator);
                            }};

}  // namespace

INSTANTIATE_TEST_SUITE_P(Launched, AttentionFiles, testing::Values(mpi_world), name_of_world);

}  // namespace annulus::results
