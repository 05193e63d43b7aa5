#include "annulus/ring/thread_share.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "annulus/base/read_option.hpp"
#include "annulus/kernels/cores.hpp"
#include "base/range.hpp"

namespace annulus {
namespace {

using Cores = std::vector<int>;

/// A variable of the environment that says how many threads or cores; of a list the first.
std::optional<int> read_count(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  const std::string_view text(value);
  return read_option(name, [&] {
    return read_number(text.substr(0, text.find(',')), WholeRange<int>{1, 4096});
  });
}

/// What a rank makes of `cores` of its own, or of what it was asked for.
int threads_on(int cores) {
  return std::min(read_count("OMP_NUM_THREADS").value_or(std::max(1, cores)),
                  kernels::thread_limit());
}

int count_of(const Cores& cores) {
  return static_cast<int>(cores.size());
}

int online_cores() {
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

/// Everybody's list, by rank. Collective.
std::vector<Cores> gather(comm::Communicator& communicator, const Cores& cores) {
  std::vector<Cores> all;
  for (const auto& bytes : communicator.all_gather(std::as_bytes(std::span(cores)))) {
    auto& list = all.emplace_back(bytes.size() / sizeof(int));
    std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span(list)).begin());
  }
  return all;
}

Cores with(const Cores& cores, const Cores& more) {
  Cores both;
  std::ranges::set_union(cores, more, std::back_inserter(both));
  return both;
}

bool overlap(const Cores& cores, const Cores& others) {
  return count_of(with(cores, others)) < count_of(cores) + count_of(others);
}

/// Why ranks that are processes do not have the cores of their node, one by one: `own` among the
/// `ranks` of the node, which may use `node` together, of what the launcher may use.
std::string remedy_for(const Cores& own, int sharing, const Cores& node, const Cores& launcher) {
  if (kernels::binds_threads() && sharing > 1) {
    return fmt::format(
        "OMP_PROC_BIND binds the threads of {} ranks to the same cores; unset it, or have the "
        "launcher "
        "bind ranks apart (mpirun --map-by slot:PE=CORES, srun -c CORES)",
        sharing);
  }
  const int idle = count_of(launcher) - count_of(node);
  if (idle <= 0 || count_of(own) >= count_of(launcher)) return {};
  return fmt::format(
      "the launcher binds {} to {} core{}, and {} of {} cores of the node are idle; start with "
      "mpirun "
      "--bind-to none or --map-by slot:PE=CORES, srun -c CORES",
      sharing > 1 ? fmt::format("{} ranks", sharing) : "a rank", count_of(own),
      count_of(own) == 1 ? "" : "s", idle, count_of(launcher));
}

}  // namespace

int thread_share(const Topology& topology, int rank) {
  const auto cores = kernels::usable_cores();
  const int online = online_cores();
  const int ranks = static_cast<int>(peers_of(topology, rank).size());
  const int usable = cores.empty() ? online : count_of(cores);
  return threads_on(
      std::min({usable, online / ranks, read_count("SLURM_CPUS_PER_TASK").value_or(online)}));
}

double share_of_a_core(const Topology& topology, int rank, const CoreShare& cores) {
  const auto ranks = static_cast<int>(peers_of(topology, rank).size());
  const int busy = std::min(cores.threads, cores.cores_of_node) * ranks;
  return std::min(1.0, static_cast<double>(cores.cores_of_node) / busy);
}

CoreShare core_share(comm::Communicator& communicator) {
  const auto peers = peers_of(communicator.topology(), communicator.rank());
  const auto all = gather(communicator, kernels::usable_cores());
  const auto& own = all[static_cast<std::size_t>(communicator.rank())];
  if (own.empty()) {  // the system does not say
    return {.threads = thread_share(communicator.topology(), communicator.rank()),
            .cores_of_node = online_cores()};
  }
  Cores node;
  int sharing = 0;
  for (const int peer : peers) {
    const auto& theirs = all[static_cast<std::size_t>(peer)];
    node = with(node, theirs);
    if (overlap(own, theirs)) ++sharing;
  }
  // A task of Slurm is a process.
  const int tasks = communicator.one_process() ? 1 : sharing;
  const int granted =
      std::min(count_of(own), read_count("SLURM_CPUS_PER_TASK").value_or(count_of(own)) * tasks);
  CoreShare share{.threads = threads_on(granted / sharing), .cores_of_node = count_of(node)};
  const bool processes = communicator.size() == 1 || !communicator.one_process();
  if (processes && std::getenv("OMP_NUM_THREADS") == nullptr) {
    share.remedy = remedy_for(own, sharing, node, kernels::cores_of_process(getppid()));
  }
  return share;
}

}  // namespace annulus
