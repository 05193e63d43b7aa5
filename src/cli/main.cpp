// annulus: parses the command line, runs the subcommand on every rank, and turns failures into exit
// codes: 0 success, 1 a run that failed or a check that did not hold, 2 bad usage or bad input.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "annulus/base/build.hpp"
#include "annulus/base/error.hpp"
#include "annulus/comm/transport.hpp"
#include "annulus/run/process.hpp"
#include "base/choices.hpp"
#include "cli/command_line.hpp"
#include "cli/commands.hpp"
#include "cli/manual_page.hpp"
#include "cli/option_value.hpp"

namespace annulus::cli {
namespace {

/// Options that are not of one subcommand.
struct CommonOptions {
  std::string transport = "auto";
  std::optional<int> timeout{};  ///< seconds
  bool json = false;
  bool manual = false;  ///< in place of a subcommand
};

std::string transport_help() {
  std::string text = "auto (mpi under mpirun or srun, else self)";
  for (const auto* transport : comm::transports()) {
    text += fmt::format(", {} ({})", transport->syntax(), transport->description);
  }
  return text;
}

constexpr WholeRange<int> timeouts{1, 1 << 24};

/// The subcommands by their parsers.
using Parsers = std::map<const CLI::App*, const Command*>;

/// Adds all subcommands to the parser, which leaves over what it does not know, see
/// refuse_what_is_left.
Parsers build_parser(CLI::App& app, const std::vector<CommandEntry>& entries,
                     CommonOptions& common) {
  Parsers parsers;
  app.set_version_flag("--version", fmt::format("annulus {} ({})", version(), git_commit()));
  app.add_flag("--manual", common.manual, "Print the manual page, for man(1)");
  app.footer(
      "Exit codes: 0 success, 1 a run that failed or a check that did not hold, 2 bad usage or bad "
      "input.");
  app.allow_extras();
  std::map<std::string, CLI::App*> groups{{"", &app}};
  for (const auto& entry : entries) {
    auto* parser = groups.at(entry.group)->add_subcommand(entry.name, entry.description);
    if (!entry.command) {
      groups.emplace(entry.name, parser);
      continue;
    }
    entry.command->add_options(*parser);
    if (entry.command->has_ranks()) {
      parser->add_option("--transport", common.transport, transport_help())->capture_default_str();
      add_number(*parser, "--timeout", common.timeout, timeouts,
                 "seconds after which a rank that waits for a message of another fails, with mpi; "
                 "default: none");
    }
    parser->add_flag("--json", common.json, "machine-readable output");
    parsers.emplace(parser, entry.command.get());
  }
  return parsers;
}

/// The subcommand that the command line has come to; null where it names none, or a group.
const Command* chosen_in(const Parsers& parsers, const CLI::App& app) {
  const auto* place = &app;
  while (!place->get_subcommands().empty()) place = place->get_subcommands().front();
  const auto found = parsers.find(place);
  return found == parsers.end() ? nullptr : found->second;
}

/// Throws InputError for what the parser did not know, and where no subcommand is chosen.
void refuse_what_is_left(const CLI::App& app, const Command* chosen) {
  const auto* place = &app;
  std::string name = app.get_name();
  while (!place->get_subcommands().empty()) {
    place = place->get_subcommands().front();
    name += ' ' + place->get_name();
  }
  const auto left = app.remaining(true);
  const bool option = !left.empty() && left.front().starts_with('-');
  if (chosen == nullptr && !option) {
    std::vector<std::string> names;
    for (const auto* known : place->get_subcommands({})) names.push_back(known->get_name());
    throw InputError(
        fmt::format("{}; expected {}",
                    left.empty() ? name + ": a subcommand is missing"
                                 : fmt::format("unknown subcommand '{} {}'", name, left.front()),
                    choices({names.begin(), names.end()})));
  }
  if (left.empty()) return;
  throw InputError(fmt::format("unknown {} '{}'; {} --help lists what is known",
                               option ? "option" : "argument", left.front(), name));
}

std::string first_line_of(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

/// The exit code of a command whose output has to have arrived.
int with_output(int code) {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    throw Error("standard output could not be written");
  }
  return code;
}

int run(int argc, char** argv, std::optional<run::Process>& process) {
  process.emplace();
  const auto entries = make_commands();
  CommonOptions common;
  CLI::App app{"Exact attention over one sequence that is spread across many ranks.", "annulus"};
  const auto parsers = build_parser(app, entries, common);
  const auto only_print = [&](const std::string& text) {
    process->compute_alone();
    if (process->speaks()) fmt::print("{}", text);
    return with_output(0);
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const auto* asked = chosen_in(parsers, app);
    return only_print(app.help() + (asked == nullptr ? "" : asked->more_help()));
  } catch (const CLI::CallForAllHelp&) {
    return only_print(app.help("", CLI::AppFormatMode::All));
  } catch (const CLI::CallForVersion&) {
    return only_print(app.version() + '\n');
  } catch (const CLI::ParseError& error) {
    throw InputError(first_line_of(error.what()) + "; --help lists what is known");
  }
  if (common.manual) {
    return only_print(manual_page(app, version(), [&](const CLI::App& command) {
      return parsers.at(&command)->more_help();
    }));
  }
  const auto* chosen = chosen_in(parsers, app);
  refuse_what_is_left(app, chosen);
  if (!chosen->has_ranks()) {
    process->compute_alone();
    if (!process->speaks()) return 0;
  }
  chosen->check();
  const auto line = command_line(argc, argv);
  const auto timeout =
      common.timeout ? std::optional(std::chrono::seconds(*common.timeout)) : std::nullopt;
  return with_output(process->run(
      common.transport, timeout, [&](comm::Communicator& ranks, comm::Communicator& files) {
        return chosen->run({ranks, files, line, common.json, process->launched()});
      }));
}

/// Takes the numbers of standard streams that are closed, so that no file gets them, into which
/// messages would then be written. What is written there fails, as it would have.
void hold_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) == -1) static_cast<void>(open("/dev/null", O_RDONLY));
  }
}

}  // namespace
}  // namespace annulus::cli

int main(int argc, char** argv) {
  annulus::cli::hold_standard_streams();
  std::optional<annulus::run::Process> process;
  const auto fail = [&](int code, const std::string& message) {
    if (process) return process->fail(code, message);
    annulus::run::say(message);
    return code;
  };
  try {
    return annulus::cli::run(argc, argv, process);
  } catch (const annulus::InputError& error) {
    return fail(2, error.what());
  } catch (const std::bad_alloc& error) {
    return fail(1, fmt::format("out of memory: {}", error.what()));
  } catch (const std::exception& error) {
    return fail(1, error.what());
  }
}
