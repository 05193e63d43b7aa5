#include "cli/progress.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/base/error.hpp"
#include "cli/option_value.hpp"
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

/// Of the terminal that standard error is, or of a usual one.
std::size_t terminal_columns() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  return known ? size.ws_col : 80;
}

}  // namespace

void ProgressOption::add_to(CLI::App& command) {
  const auto read = [](std::string_view mode) -> std::optional<bool> {
    if (mode == "auto") return std::nullopt;
    if (mode == "always" || mode == "never") return mode == "always";
    throw InputError(fmt::format("unknown mode '{}'; expected auto, always or never", mode));
  };
  add_value(
      command, "--progress", wanted, read,
      "auto, always or never: points done and time left, on standard error; auto is only where "
      "that is a terminal")
      ->default_str("auto");
}

bool ProgressOption::shown() const {
  return wanted.value_or(isatty(STDERR_FILENO) == 1 || launcher_writes_to_terminal());
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
  // Over the line before, which may be longer, and within the terminal, which would begin another.
  line.resize(std::min(std::max(line.size(), length_), terminal_columns() - 1), ' ');
  length_ = line.size();
  // What cannot be written does not end the work.
  static_cast<void>(std::fprintf(stderr, "\r%s", line.c_str()));
  static_cast<void>(std::fflush(stderr));
}

}  // namespace annulus::cli
