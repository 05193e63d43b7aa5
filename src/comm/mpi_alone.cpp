#include "annulus/comm/mpi_alone.hpp"

#include <fcntl.h>
#include <mpi.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "annulus/comm/mpi_session.hpp"
#include "comm/mpi_call.hpp"

namespace annulus::comm {
namespace {

/// Removes what launchers leave for their processes.
void forget_launchers() {
  std::vector<std::string> names;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    for (const std::string_view prefix : {"OMPI_COMM_", "OMPI_MCA_", "PMIX_", "PMI_", "SLURM_",
                                          "PALS_", "FLUX_", "ORTE_", "OPAL_", "PRTE_"}) {
      if (text.starts_with(prefix)) names.emplace_back(text.substr(0, text.find('=')));
    }
  }
  for (const auto& name : names) unsetenv(name.c_str());
}

/// The child: writes the level and ends.
[[noreturn]] void try_alone(int output) {
  forget_launchers();
  const int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) dup2(nowhere, stream);
  try {
    MpiSession session(nullptr, nullptr);
    const auto level = session.thread_level();
    if (write(output, level.data(), level.size()) < 0) _exit(EXIT_FAILURE);
  } catch (...) {
    _exit(EXIT_FAILURE);
  }
  _exit(EXIT_SUCCESS);
}

}  // namespace

std::string mpi_library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  check_mpi(MPI_Get_library_version(text.data(), &length), "MPI_Get_library_version", 0);
  std::string_view line(text.data(), static_cast<std::size_t>(length));
  constexpr std::string_view blank = " \t\r\n";
  line.remove_prefix(std::min(line.find_first_not_of(blank), line.size()));
  line = line.substr(0, line.find_first_of(std::string_view("\n\0", 2)));
  return std::string(line.substr(0, line.find_last_not_of(blank) + 1));
}

std::string thread_level_alone() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  const pid_t child = fork();
  if (child == 0) try_alone(ends[1]);
  close(ends[1]);
  std::string level;
  std::array<char, 64> part{};
  for (ssize_t count = 0; (count = read(ends[0], part.data(), part.size())) > 0;) {
    level.append(part.data(), static_cast<std::size_t>(count));
  }
  close(ends[0]);
  if (child > 0) waitpid(child, nullptr, 0);
  return level;
}

}  // namespace annulus::comm
