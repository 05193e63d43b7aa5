#include "annulus/run/process.hpp"

#include <chrono>
#include <cstdlib>
#include <optional>

#include <fmt/format.h>

#include "annulus/base/read_option.hpp"
#if ANNULUS_HAVE_MPI
#include "annulus/comm/mpi_session.hpp"
#endif
#include "run/signals.hpp"

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

}  // namespace

#if ANNULUS_HAVE_MPI

struct Process::Session {
  Session(int* argc, char*** argv) : mpi(argc, argv) {}
  comm::MpiSession mpi;
};

Process::Process(int argc, char** argv) {
  handle_signals();
  if (!launched_processes()) return;
  session_ = std::make_unique<Session>(&argc, &argv);
}

bool Process::speaks() const {
  return !session_ || session_->mpi.rank() == 0;
}

int Process::processes() const {
  const int joined = session_ ? session_->mpi.size() : 1;
  if (const int launched = launched_processes().value_or(1); launched != joined) {
    throw InputError(fmt::format(
        "the launcher started {} processes and MPI joins {} of them; start this program with the "
        "launcher of the MPI that it was built with (srun: --mpi=pmix)",
        launched, joined));
  }
  return joined;
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
  handle_signals();
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

int Process::processes() const {
  return 1;
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

int Process::run(const std::string& transport, const comm::RankBody& body) {
  const comm::Job job{.launched = session_ != nullptr,
                      .processes = processes(),
                      .start_mpi = [this] { static_cast<void>(start_mpi()); }};
  const auto runner =
      read_option("--transport", [&] { return comm::open_transport(transport, job); });
  return runner(body);
}

}  // namespace annulus::run
