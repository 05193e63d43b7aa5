#include "annulus/run/process.hpp"

#include <chrono>
#include <cstdio>
#include <optional>

#include <fmt/format.h>

#include "annulus/base/read_option.hpp"
#include "run/launch.hpp"
#include "run/signals.hpp"
#if ANNULUS_HAVE_MPI
#include "annulus/comm/mpi_session.hpp"
#endif

namespace annulus::run {

void say(std::string_view message) {
  std::string line = "annulus: ";
  for (const char c : message) {
    // Texts of users are in it, which may hold anything.
    const bool control = (static_cast<unsigned char>(c) < 0x20) || c == 0x7f;
    line += control ? fmt::format("\\x{:02x}", static_cast<unsigned char>(c)) : std::string(1, c);
  }
  line += '\n';
  // Whoever closed standard error, or has no room for it, does not want to hear of it.
  static_cast<void>(std::fwrite(line.data(), 1, line.size(), stderr));
}

struct Process::State {
  Launch launch = read_launch();
  bool alone = !launch.several();  ///< needs no other process
#if ANNULUS_HAVE_MPI
  std::optional<comm::MpiSession> mpi{};

  comm::MpiSession& start_mpi() {
    if (!mpi) mpi.emplace(nullptr, nullptr);
    return *mpi;
  }
#endif
};

Process::Process() : state_(std::make_unique<State>()) {
  handle_signals();
}

Process::~Process() = default;

void Process::compute_alone() {
  state_->alone = true;
}

bool Process::launched() const {
  return state_->launch.processes.has_value() || state_->launch.rank.has_value();
}

#if ANNULUS_HAVE_MPI

bool Process::speaks() const {
  return state_->mpi ? state_->mpi->rank() == 0 : state_->launch.rank.value_or(0) == 0;
}

int Process::processes() {
  const auto& launch = state_->launch;
  if (state_->alone) return 1;
  const int joined = state_->start_mpi().size();
  const bool fits = launch.processes ? *launch.processes == joined : joined > launch.rank;
  if (!fits) {
    throw InputError(fmt::format(
        "the launcher started {} ({} is {}) and MPI joins {} of them; start this program with the "
        "launcher of the MPI that it was built with (srun: --mpi=pmix)",
        launch.processes ? fmt::format("{} processes", *launch.processes) : "several processes",
        launch.rank_variable, launch.rank.value_or(0), joined));
  }
  return joined;
}

int Process::fail(int code, const std::string& message) {
  if (state_->alone && !state_->mpi) {
    if (speaks()) say(message);
    return code;
  }
  auto& mpi = state_->start_mpi();
  if (speaks()) say(message);
  // Long enough for ranks that fail alike on a busy machine, short enough not to keep a job that
  // one rank has left.
  if (mpi.joined_by_all(std::chrono::seconds(2))) {
    // Bad input leaves nothing open. After a failed run libraries may not survive an orderly end.
    if (code == 2) return code;
    comm::MpiSession::abort(code);
  }
  if (!speaks()) say(fmt::format("rank {}: {}", mpi.rank(), message));
  comm::MpiSession::abort(code);
}

void Process::start_mpi() {
  static_cast<void>(state_->start_mpi());
}

#else

bool Process::speaks() const {
  return state_->launch.rank.value_or(0) == 0;
}

int Process::processes() {
  if (!state_->alone) {
    throw InputError(
        "a launcher started several processes, and this build has no MPI; configure with "
        "-DANNULUS_MPI=ON");
  }
  return 1;
}

int Process::fail(int code, const std::string& message) {
  if (speaks()) say(message);
  return code;
}

void Process::start_mpi() {}

#endif

int Process::run(const std::string& transport, std::optional<std::chrono::seconds> timeout,
                 const comm::RankBody& body) {
  const comm::Job job{.launched = !state_->alone,
                      .processes = processes(),
                      .start_mpi = [this] { start_mpi(); },
                      .watch = {.timeout = timeout, .say = say}};
  const auto runner =
      read_option("--transport", [&] { return comm::open_transport(transport, job); });
  return runner(body);
}

}  // namespace annulus::run
