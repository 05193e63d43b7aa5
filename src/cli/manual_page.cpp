#include "cli/manual_page.hpp"

#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace annulus::cli {
namespace {

/// Text as troff prints it: nothing in it is a request or an escape, and a - can be copied.
std::string plain(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const bool begins_line = result.empty() || result.back() == '\n';
    if (begins_line && (c == '.' || c == '\'')) result += "\\&";
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else {
      result += c;
    }
  }
  return result;
}

/// Lines that stay as they are, such as tables.
std::string lines(const std::string& text) {
  const auto begin = text.find_first_not_of('\n');
  if (begin == std::string::npos) return {};
  const auto end = text.find_last_not_of('\n') + 1;
  return fmt::format(".PP\n.nf\n{}\n.fi\n", plain(text.substr(begin, end - begin)));
}

/// Positional arguments first, as --help has them.
std::string options_of(const CLI::App& app) {
  std::string positional;
  std::string named;
  const CLI::Formatter formatter;
  for (const auto* option : app.get_options()) {
    const bool is_positional = option->get_positional();
    (is_positional ? positional : named) +=
        fmt::format(".TP\n\\fB{}\\fR{}\n{}\n", plain(option->get_name(is_positional, true)),
                    plain(formatter.make_option_opts(option)), plain(option->get_description()));
  }
  return positional + named;
}

/// What one types: "annulus study [OPTIONS] config".
std::string synopsis(const CLI::App& app, const std::string& name) {
  std::string text = fmt::format("\\fB{}\\fR [OPTIONS]", plain(name));
  for (const auto* option : app.get_options()) {
    if (option->get_positional()) text += ' ' + plain(option->get_name(true));
  }
  return text;
}

/// Calls `visit(command, its whole name)` for all commands under `app`, without those that only
/// group others.
template <class Visit>
void for_each_command(const CLI::App& app, const std::string& name, const Visit& visit) {
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  for (const auto* command : commands) {
    for_each_command(*command, name + ' ' + command->get_name(), visit);
  }
  if (commands.empty()) visit(app, name);
}

}  // namespace

std::string manual_page(const CLI::App& app, std::string_view version,
                        const std::function<std::string(const CLI::App&)>& more_help) {
  const auto& name = app.get_name();
  auto page =
      fmt::format(".TH {} 1 \"\" \"{} {}\" \"User Commands\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n",
                  name, name, version, name, plain(app.get_description()));
  std::string commands;
  std::string breaks;
  for_each_command(app, name, [&](const CLI::App& command, const std::string& whole) {
    page += std::exchange(breaks, ".br\n").append(synopsis(command, whole)) + '\n';
    commands += fmt::format(".SS {}\n{}\n{}{}", plain(whole), plain(command.get_description()),
                            options_of(command), lines(more_help(command)));
  });
  page += fmt::format(".SH OPTIONS\n{}.SH COMMANDS\n{}", options_of(app), commands);
  if (!app.get_footer().empty()) page += ".SH NOTES\n" + plain(app.get_footer()) + '\n';
  return page;
}

}  // namespace annulus::cli
