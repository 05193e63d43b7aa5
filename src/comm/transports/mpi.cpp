// mpi: the processes of the job.
#include "annulus/comm/transport.hpp"

#if ANNULUS_HAVE_MPI
#include "annulus/comm/mpi.hpp"
#endif

namespace annulus::comm::transport {

extern const Transport mpi {
  .name = "mpi", .description = "ranks that are processes",
#if ANNULUS_HAVE_MPI
  .has_timeout = true, .automatic = [](const Job& job) { return job.launched; },
  .open = [](std::string_view, const Job& job) -> RankRunner {
    job.start_mpi();
    return [watch = job.watch](const RankBody& body) {
      auto communicator = comm::mpi(MPI_COMM_WORLD, watch);
      return body(communicator, communicator);
    };
  },
#else
  .missing = "configure with -DANNULUS_MPI=ON", .open = nullptr,
#endif
};

}  // namespace annulus::comm::transport
