#include "annulus/ring/memory_check.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/base/host_name.hpp"
#include "annulus/comm/agreement.hpp"

namespace annulus {
namespace {

constexpr double unlimited = std::numeric_limits<double>::infinity();

/// MemAvailable: what programs can get without pushing each other out.
double available_on_machine() {
  std::ifstream file("/proc/meminfo");
  std::string name;
  double kibibytes = 0;
  while (file >> name >> kibibytes) {
    if (name == "MemAvailable:") return kibibytes * 1024;
    file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return unlimited;
}

/// The least limit of the control groups of this process, from its own to the root.
double limit_of_groups() {
  double least = unlimited;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const bool second_version = line.starts_with("0::");
    if (!second_version && line.find(":memory:") == std::string::npos) continue;
    const std::string root = second_version ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    const char* limit = second_version ? "/memory.max" : "/memory.limit_in_bytes";
    std::string group = line.substr(line.find('/'));
    while (true) {
      std::ifstream file(root + group + limit);
      if (double bytes = 0; file >> bytes) least = std::min(least, bytes);
      if (group.empty()) break;
      group.resize(group.rfind('/'));
    }
  }
  return least;
}

double limit_of_process() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return unlimited;
  return static_cast<double>(limit.rlim_cur);
}

std::string bytes_text(double bytes) {
  return fmt::format("{:.0f} bytes ({:.3g} GiB)", bytes, bytes / 0x1p30);
}

}  // namespace

std::optional<double> available_memory() {
  const double least = std::min({available_on_machine(), limit_of_groups(), limit_of_process()});
  return least < unlimited ? std::optional(least) : std::nullopt;
}

void check_memory(double bytes, comm::Communicator& communicator) {
  std::vector<double> wanted(static_cast<std::size_t>(communicator.size()));
  wanted[static_cast<std::size_t>(communicator.rank())] = bytes;
  communicator.all_reduce(wanted, comm::Reduction::sum);
  comm::together(communicator, [&] {
    int most = communicator.rank();
    double of_node = 0;
    for (const int peer : peers_of(communicator.topology(), communicator.rank())) {
      of_node += wanted[static_cast<std::size_t>(peer)];
      if (wanted[static_cast<std::size_t>(peer)] > wanted[static_cast<std::size_t>(most)]) {
        most = peer;
      }
    }
    const auto available = available_memory();
    if (!available || of_node <= *available) return;
    throw Error(fmt::format(
        "out of memory: rank {} needs {}, the ranks of host {} need {}, and {} are available there",
        most, bytes_text(wanted[static_cast<std::size_t>(most)]), host_name(), bytes_text(of_node),
        bytes_text(*available)));
  });
}

void check_memory(const Plan& plan, Pass pass, comm::Communicator& communicator) {
  check_memory(static_cast<double>(memory_of(plan, communicator.rank(), pass).total()),
               communicator);
}

}  // namespace annulus
