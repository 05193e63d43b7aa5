// annulus: parses the command line, runs the subcommand on every rank, and turns failures into exit
// codes: 0 success, 1 a run that failed or a check that did not hold, 2 bad usage or bad input.
#include <cstdio>
#include <map>
#include <optional>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/base/build.hpp"
#include "annulus/base/error.hpp"
#include "annulus/comm/transport.hpp"
#include "annulus/run/process.hpp"
#include "cli/command_line.hpp"
#include "cli/commands.hpp"

namespace annulus::cli {
namespace {

/// Options that every subcommand has.
struct CommonOptions {
  std::string transport = "auto";
  bool json = false;
};

std::string transport_help() {
  std::string text = "auto (mpi under mpirun or srun, else self)";
  for (const auto* transport : comm::transports()) {
    text += fmt::format(", {} ({})", transport->syntax(), transport->description);
  }
  return text;
}

/// The parser with all subcommands; what is chosen ends up in `chosen`.
void build_parser(CLI::App& app, const std::vector<CommandEntry>& entries, CommonOptions& common,
                  const Command*& chosen) {
  app.set_version_flag("--version", fmt::format("annulus {} ({})", version(), git_commit()));
  app.require_subcommand(1);
  std::map<std::string, CLI::App*> groups{{"", &app}};
  for (const auto& entry : entries) {
    auto* parser = groups.at(entry.group)->add_subcommand(entry.name, entry.description);
    if (!entry.command) {
      parser->require_subcommand(1);
      groups.emplace(entry.name, parser);
      continue;
    }
    entry.command->add_options(*parser);
    if (entry.command->has_ranks()) {
      parser->add_option("--transport", common.transport, transport_help())->capture_default_str();
    }
    parser->add_flag("--json", common.json, "machine-readable output");
    parser->callback([&chosen, command = entry.command.get()] { chosen = command; });
  }
}

std::string first_line_of(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

int run(int argc, char** argv, std::optional<run::Process>& process) {
  process.emplace(argc, argv);
  const auto entries = make_commands();
  CommonOptions common;
  const Command* chosen = nullptr;
  CLI::App app{"Exact attention over one sequence that is spread across many ranks.", "annulus"};
  build_parser(app, entries, common, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    if (process->speaks()) fmt::print("{}", app.help());
    return 0;
  } catch (const CLI::CallForAllHelp&) {
    if (process->speaks()) fmt::print("{}", app.help("", CLI::AppFormatMode::All));
    return 0;
  } catch (const CLI::CallForVersion&) {
    if (process->speaks()) fmt::print("{}\n", app.version());
    return 0;
  } catch (const CLI::ParseError& error) {
    throw InputError(first_line_of(error.what()) + "; --help lists what is known");
  }
  chosen->check();
  const auto line = command_line(argc, argv);
  const int code =
      process->run(common.transport, [&](comm::Communicator& ranks, comm::Communicator& files) {
        return chosen->run({ranks, files, *process, line, common.json});
      });
  if (std::fflush(stdout) != 0) throw Error("standard output could not be written");
  return code;
}

}  // namespace
}  // namespace annulus::cli

int main(int argc, char** argv) {
  std::optional<annulus::run::Process> process;
  const auto fail = [&](int code, const char* message) {
    if (process) return process->fail(code, message);
    fmt::print(stderr, "annulus: {}\n", message);
    return code;
  };
  try {
    return annulus::cli::run(argc, argv, process);
  } catch (const annulus::InputError& error) {
    return fail(2, error.what());
  } catch (const std::bad_alloc&) {
    return fail(1, "out of memory");
  } catch (const std::exception& error) {
    return fail(1, error.what());
  }
}
