// annulus report: runs the drawing program, which is installed beside this one.
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/base/error.hpp"
#include "cli/command.hpp"
#include "cli/option_value.hpp"

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

/// A format of pictures that the drawing program has.
std::string read_format(std::string_view name) {
  if (name == "png" || name == "pdf" || name == "svg") return std::string(name);
  throw InputError(fmt::format("unknown format '{}'; expected png, pdf or svg", name));
}

class Report final : public Command {
 public:
  void add_options(CLI::App& app) override {
    add_list(app, "results", files_, read_path,
             "results files of annulus study, bench strong and bench weak",
             [](const std::string& path) { return std::vector{path}; })
        ->allow_extra_args()
        ->required();
    add_value(
        app, "--output", output_, read_path,
        "file or folder for the pictures (default: beside the results); of scaling studies the "
        "folder of a page, made where it is not there");
    add_value(app, "--format", format_, read_format,
              "png, pdf or svg (default: as --output, else png)");
    add_value(app, "--python", python_, read_path,
              "interpreter with matplotlib, xarray and h5netcdf")
        ->default_str(python_);
  }

  [[nodiscard]] bool has_ranks() const override { return false; }

  int run(const Context& context) const override {
    // The drawing program prints for itself.
    std::vector<std::string> arguments{python_, drawing_program().string()};
    arguments.insert(arguments.end(), files_.begin(), files_.end());
    if (output_) arguments.insert(arguments.end(), {"--output", *output_});
    if (format_) arguments.insert(arguments.end(), {"--format", *format_});
    if (context.json) arguments.emplace_back("--json");
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

 private:
  std::vector<std::string> files_;
  std::optional<std::string> output_;
  std::optional<std::string> format_;
  std::string python_ = ANNULUS_PYTHON;
};

}  // namespace

std::unique_ptr<Command> make_report() {
  return std::make_unique<Report>();
}

}  // namespace annulus::cli
