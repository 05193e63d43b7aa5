#include "annulus/run/process.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <optional>

#include <fmt/format.h>

#include "annulus/base/read_option.hpp"
#include "annulus/comm/self.hpp"
#include "annulus/comm/threads.hpp"
#if ANNULUS_HAVE_MPI
#include "annulus/comm/mpi.hpp"
#include "annulus/comm/mpi_session.hpp"
#endif
#if ANNULUS_HAVE_NCCL
#include "annulus/comm/nccl.hpp"
#endif

namespace annulus::run {
namespace {

/// How many processes a launcher says it started: mpirun (Open MPI, MPICH and its kin) or srun.
/// None where there was no launcher.
std::optional<int> launched_processes() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    if (const char* value = std::getenv(name)) return std::atoi(value);
  }
  return std::nullopt;
}

/// P of `threads:P`.
int parse_threads(const std::string& transport) {
  const auto text = transport.substr(transport.find(':') + 1);
  const bool digits = !text.empty() && text.size() <= 4 &&
                      text.find_first_not_of("0123456789") == std::string::npos;
  const int ranks = digits ? std::stoi(text) : 0;
  if (ranks < 1) {
    throw InputError(
        fmt::format("--transport: '{}' is not threads:P with P from 1 to 9999, the number of ranks",
                    transport));
  }
  return ranks;
}

int run_as_threads(int ranks, const RankBody& body) {
  std::vector<int> codes(static_cast<std::size_t>(ranks));
  comm::run_threads(ranks, [&](comm::Communicator& communicator) {
    codes[static_cast<std::size_t>(communicator.rank())] = body(communicator, communicator);
  });
  return *std::max_element(codes.begin(), codes.end());
}

#if ANNULUS_HAVE_NCCL

/// The processes of `host` with a GPU each.
int run_over_nccl(comm::Communicator& host, const RankBody& body) {
  const auto device = read_option("--transport", [&] { return comm::nccl_device(host); });
  const auto communicator = comm::nccl(host, device::open_stream(device));
  return body(*communicator, host);
}

#else

int run_over_nccl(comm::Communicator& /*host*/, const RankBody& /*body*/) {
  throw InputError("--transport: nccl is not in this build; configure with -DANNULUS_NCCL=ON");
}

#endif

}  // namespace

#if ANNULUS_HAVE_MPI

struct Process::Session {
  Session(int* argc, char*** argv) : mpi(argc, argv) {}
  comm::MpiSession mpi;
};

Process::Process(int argc, char** argv) {
  if (!launched_processes()) return;
  session_ = std::make_unique<Session>(&argc, &argv);
}

bool Process::speaks() const {
  return !session_ || session_->mpi.rank() == 0;
}

int Process::run(const std::string& transport, const RankBody& body) {
  const int processes = session_ ? session_->mpi.size() : 1;
  if (const int launched = launched_processes().value_or(1); launched != processes) {
    throw InputError(fmt::format(
        "the launcher started {} processes and MPI joins {} of them; start this program with the "
        "launcher of the MPI that it was built with (srun: --mpi=pmix)",
        launched, processes));
  }
  const auto alone = [&] {
    if (processes == 1) return;
    throw InputError(fmt::format("--transport: {} runs in one process, and {} were started",
                                 transport, processes));
  };
  if (transport == "self" || (transport == "auto" && !session_)) {
    alone();
    auto communicator = comm::self();
    return body(communicator, communicator);
  }
  if (transport.starts_with("threads")) {
    const int ranks = parse_threads(transport);
    alone();
    return run_as_threads(ranks, body);
  }
  if (transport == "mpi" || transport == "auto") {
    (void)start_mpi();
    auto communicator = comm::mpi(MPI_COMM_WORLD);
    return body(communicator, communicator);
  }
  if (transport == "nccl" && session_) {
    auto host = comm::mpi(MPI_COMM_WORLD);
    return run_over_nccl(host, body);
  }
  if (transport == "nccl") {
    auto host = comm::self();
    return run_over_nccl(host, body);
  }
  throw InputError(fmt::format(
      "--transport: unknown transport '{}'; expected auto, self, threads:P, mpi or nccl",
      transport));
}

int Process::fail(int code, const std::string& message) {
  if (speaks()) fmt::print(stderr, "annulus: {}\n", message);
  if (!session_) return code;
  // Long enough for ranks that fail alike on a busy machine, short enough not to keep a job that
  // one rank has left.
  if (session_->mpi.joined_by_all(std::chrono::seconds(2))) {
    // Bad input leaves nothing open. After a failed run libraries may not survive an orderly end.
    if (code == 2) return code;
    comm::MpiSession::abort(code);
  }
  if (!speaks()) fmt::print(stderr, "annulus: rank {}: {}\n", session_->mpi.rank(), message);
  comm::MpiSession::abort(code);
}

std::string Process::start_mpi() {
  if (!session_) session_ = std::make_unique<Session>(nullptr, nullptr);
  return std::string(session_->mpi.thread_level());
}

#else

struct Process::Session {};

Process::Process(int, char**) {
  if (const auto launched = launched_processes(); launched.value_or(1) > 1) {
    throw InputError(
        fmt::format("the launcher started {} processes, and this build has no MPI; "
                    "configure with -DANNULUS_MPI=ON",
                    *launched));
  }
}

bool Process::speaks() const {
  return true;
}

int Process::run(const std::string& transport, const RankBody& body) {
  if (transport == "self" || transport == "auto") {
    auto communicator = comm::self();
    return body(communicator, communicator);
  }
  if (transport.starts_with("threads")) return run_as_threads(parse_threads(transport), body);
  if (transport == "nccl") {
    auto host = comm::self();
    return run_over_nccl(host, body);
  }
  throw InputError(fmt::format(
      "--transport: '{}' is not in this build; expected auto, self or threads:P", transport));
}

int Process::fail(int code, const std::string& message) {
  fmt::print(stderr, "annulus: {}\n", message);
  return code;
}

std::string Process::start_mpi() {
  return {};
}

#endif

Process::~Process() = default;

}  // namespace annulus::run
