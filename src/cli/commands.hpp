#pragma once
// The list of subcommands.

#include <memory>
#include <string>
#include <vector>

#include "cli/command.hpp"

namespace annulus::cli {

struct CommandEntry {
  std::string group;  ///< the command that it is a subcommand of, or empty
  std::string name;
  std::string description;
  std::unique_ptr<Command> command;  ///< null for a command that only groups others
};

[[nodiscard]] std::vector<CommandEntry> make_commands();

}  // namespace annulus::cli
