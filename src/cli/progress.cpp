#include "cli/progress.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/base/error.hpp"
#include "cli/table.hpp"

namespace annulus::cli {
namespace {

/// mpirun puts a pipe between a rank and the terminal: what counts is where the launcher, the
/// parent process, writes its own errors.
bool launcher_writes_to_terminal() {
  if (std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr && std::getenv("PMI_SIZE") == nullptr) {
    return false;
  }
  const auto path = fmt::format("/proc/{}/fd/2", getppid());
  const int file = open(path.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  if (file < 0) return false;
  const bool terminal = isatty(file) == 1;
  close(file);
  return terminal;
}

}  // namespace

void ProgressOption::add_to(CLI::App& command) {
  command
      .add_option("--progress", mode,
                  "auto, always or never: points done and time left, on standard error; auto is "
                  "only where that is a terminal")
      ->capture_default_str();
}

bool ProgressOption::shown() const {
  if (mode == "always") return true;
  if (mode == "never") return false;
  if (mode != "auto") {
    throw InputError(
        fmt::format("--progress: unknown mode '{}'; expected auto, always or never", mode));
  }
  return isatty(STDERR_FILENO) == 1 || launcher_writes_to_terminal();
}

Progress::~Progress() {
  if (begun_) std::fputc('\n', stderr);
}

void Progress::update(Index done, Index total) {
  if (!shown_) return;
  const auto now = Clock::now();
  if (!begun_) {
    begun_ = true;
    first_ = done;
    start_ = now;
  } else if (done < total && now - written_ < std::chrono::milliseconds(100)) {
    return;
  }
  written_ = now;
  auto line = fmt::format("{} of {} points", done, total);
  if (done > first_ && done < total) {
    const double spent = std::chrono::duration<double>(now - start_).count();
    const double left =
        spent / static_cast<double>(done - first_) * static_cast<double>(total - done);
    line += fmt::format(", {} left", seconds_text(left));
  }
  fmt::print(stderr, "\r{:<50}", line);
  std::fflush(stderr);
}

}  // namespace annulus::cli
