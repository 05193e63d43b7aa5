#include "annulus/run/input_trial.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <span>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "annulus/base/error.hpp"
#include "annulus/comm/self.hpp"
#include "annulus/run/attention_run.hpp"

namespace annulus::run {
namespace {

/// Seconds of processor time. Loops in HDF5 have no end; undoing the filters of two rows has.
rlim_t most_seconds(const std::string& path) {
  constexpr rlim_t bytes_per_second = 50'000'000;
  std::error_code ignored;
  return 3 + static_cast<rlim_t>(std::filesystem::file_size(path, ignored)) / bytes_per_second;
}

/// The child ends by what it does, soon and without a word: nobody's handler of signals runs, and
/// what a library says of its end is not heard.
void become_expendable(rlim_t seconds) {
  for (const int signal : {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGXCPU}) {
    static_cast<void>(std::signal(signal, SIG_DFL));
  }
  const rlimit time{.rlim_cur = seconds, .rlim_max = seconds + 1};
  const rlimit no_core{.rlim_cur = 0, .rlim_max = 0};
  static_cast<void>(::setrlimit(RLIMIT_CPU, &time));
  static_cast<void>(::setrlimit(RLIMIT_CORE, &no_core));
  if (const int nowhere = ::open("/dev/null", O_WRONLY); nowhere >= 0) {
    ::dup2(nowhere, STDERR_FILENO);
  }
}

/// The first row and the last: what lies between them is like them.
Shard ends_of(std::span<const Index> offsets) {
  Shard rows;
  for (std::size_t document = 0; document + 1 < offsets.size(); ++document) {
    const Index length = offsets[document + 1] - offsets[document];
    if (length > 0 && rows.empty()) rows = {{static_cast<Index>(document), 0, 1, 1}};
    if (length > 0 && offsets[document + 1] == offsets.back()) {
      rows.push_back({static_cast<Index>(document), length - 1, 1, 1});
    }
  }
  return rows;
}

void read_ends(const results::AttentionInput& input, const std::string& path) {
  using results::InputRows;
  const auto& shape = input.shape();
  const auto problem = problem_of(path, shape);
  const auto queries = ends_of(problem.documents.query_offsets());
  const auto keys = ends_of(problem.documents.key_offsets());
  const auto read = [&](InputRows array, const Shard& rows) {
    static_cast<void>(input.read_rows(array, rows, DataType::float64));
  };
  read(InputRows::q, queries);
  read(InputRows::k, keys);
  read(InputRows::v, keys);
  if (shape.has_dout) read(InputRows::dout, queries);
  if (shape.has_logit_scale) static_cast<void>(input.read_logit_scale(queries));
}

/// What is wrong with the file, as far as the run need not look at it.
std::string complaint_of(const std::string& path, const results::AttentionInput::Options& options) {
  std::optional<results::AttentionInput> input;
  auto alone = comm::self();
  try {
    input.emplace(path, alone, options);
  } catch (const InputError& error) {
    return error.what();
  }
  try {
    read_ends(*input, path);
  } catch (const InputError&) {
    // The run says it, having looked at every row.
  }
  return {};
}

[[noreturn]] void run_child(int pipe, const std::string& path,
                            const results::AttentionInput::Options& options) {
  become_expendable(most_seconds(path));
  try {
    const auto complaint = complaint_of(path, options);
    const auto written = ::write(pipe, complaint.data(), complaint.size());
    ::_exit(written == static_cast<ssize_t>(complaint.size()) ? 0 : 1);
  } catch (const std::exception&) {  // no memory, say
    ::_exit(0);
  }
}

/// All that comes until the other end is closed.
std::string read_all(int pipe) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (;;) {
    const auto count = ::read(pipe, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

std::string end_of(int status) {
  if (!WIFSIGNALED(status)) return "fails";
  const int signal = WTERMSIG(status);
  if (signal == SIGXCPU || signal == SIGKILL) return "does not end";
  return fmt::format("crashes ({})", ::strsignal(signal));
}

}  // namespace

void try_input(const std::string& path, const results::AttentionInput::Options& options) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Error("no pipe could be made");
  const pid_t child = ::fork();
  if (child == 0) run_child(ends[1], path, options);
  ::close(ends[1]);
  const auto complaint = read_all(ends[0]);
  ::close(ends[0]);
  if (child < 0) throw Error(fmt::format("no process could be started to try {}", path));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (status != 0) {
    throw InputError(fmt::format("{}: damaged: HDF5 {} when it reads it; expected a sound file",
                                 path, end_of(status)));
  }
  if (!complaint.empty()) throw InputError(complaint);
}

}  // namespace annulus::run
