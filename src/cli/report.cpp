// annulus report: runs the drawing program, which is installed beside this one.
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/base/error.hpp"
#include "annulus/comm/agreement.hpp"
#include "cli/command.hpp"

namespace annulus::cli {
namespace {

/// The folder of the drawing program: under share beside an installed executable, else where the
/// build left it.
std::filesystem::path drawing_program() {
  std::error_code error;
  const auto executable = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto installed = executable.parent_path().parent_path() / "share" / "annulus" / "report";
  for (const auto& folder : {installed, std::filesystem::path(ANNULUS_REPORT_SOURCE)}) {
    if (std::filesystem::exists(folder / "__main__.py", error)) return folder;
  }
  throw Error(
      fmt::format("the drawing program is not in {}; install annulus again", installed.string()));
}

class Report final : public Command {
 public:
  void add_options(CLI::App& app) override {
    app.add_option("results", files_, "results files of annulus study")->required();
    app.add_option("--output", output_,
                   "file or folder for the pictures (default: beside the results)");
    app.add_option("--format", format_, "png, pdf or svg (default: as --output, else png)");
    app.add_option("--python", python_, "interpreter with matplotlib, xarray and h5netcdf")
        ->capture_default_str();
  }

  [[nodiscard]] bool has_ranks() const override { return false; }

  int run(const Context& context) const override {
    Index code = 0;
    comm::on_root(context.communicator, [&] { code = draw(context.json); });
    context.communicator.broadcast(std::as_writable_bytes(std::span(&code, 1)), 0);
    return static_cast<int>(code);
  }

 private:
  /// The exit code of the drawing program, which prints for itself.
  [[nodiscard]] int draw(bool json) const {
    std::vector<std::string> arguments{python_, drawing_program().string()};
    arguments.insert(arguments.end(), files_.begin(), files_.end());
    if (!output_.empty()) arguments.insert(arguments.end(), {"--output", output_});
    if (!format_.empty()) arguments.insert(arguments.end(), {"--format", format_});
    if (json) arguments.emplace_back("--json");
    std::vector<char*> pointers;
    for (auto& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    const pid_t child = fork();
    if (child < 0) throw Error("report: no process could be started");
    if (child == 0) {
      execvp(pointers[0], pointers.data());
      _exit(127);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child) throw Error("report: the drawing program was lost");
    if (!WIFEXITED(status)) throw Error("report: the drawing program was killed");
    if (WEXITSTATUS(status) == 127) {
      throw InputError(fmt::format("--python: '{}' could not be run", python_));
    }
    return WEXITSTATUS(status);
  }

  std::vector<std::string> files_;
  std::string output_;
  std::string format_;
  std::string python_ = ANNULUS_PYTHON;
};

}  // namespace

std::unique_ptr<Command> make_report() {
  return std::make_unique<Report>();
}

}  // namespace annulus::cli
