// nccl: the processes of the job, with a GPU each.
#include "annulus/base/error.hpp"
#include "annulus/comm/libraries.hpp"
#include "annulus/comm/self.hpp"
#include "annulus/comm/transport.hpp"

#if ANNULUS_HAVE_MPI
#include "annulus/comm/mpi.hpp"
#endif
#if ANNULUS_HAVE_NCCL
#include "annulus/comm/nccl.hpp"
#endif

namespace annulus::comm::transport {

#if ANNULUS_HAVE_NCCL

namespace {

/// The processes of the job, over which GPUs find each other and files are shared.
std::shared_ptr<Communicator> host_of([[maybe_unused]] const Job& job) {
#if ANNULUS_HAVE_MPI
  if (job.launched) return std::make_shared<MpiCommunicator>(MPI_COMM_WORLD);
#endif
  return std::make_shared<SelfCommunicator>();
}

}  // namespace

#endif

extern const Transport nccl {
  .name = "nccl",
  .description = "a GPU for each rank, under mpirun with --device cuda; never run on GPUs yet",
#if ANNULUS_HAVE_NCCL
  .open = [](std::string_view, const Job& job) -> RankRunner {
    if (const auto problem = nccl_problem(); !problem.empty()) throw InputError(problem);
    const auto host = host_of(job);
    return [host, device = nccl_device(*host)](const RankBody& body) {
      const auto communicator = comm::nccl(*host, device::open_stream(device));
      return body(*communicator, *host);
    };
  },
#else
  .missing = "configure with -DANNULUS_NCCL=ON", .open = nullptr,
#endif
};

}  // namespace annulus::comm::transport
