#pragma once
// What a subcommand is: options that it adds to the parser, and a body that runs as one rank.

#include <string>

#include "annulus/comm/communicator.hpp"

namespace CLI {
class App;
}

namespace annulus::cli {

/// What every body is given.
struct Context {
  comm::Communicator& communicator;
  comm::Communicator& files;  ///< the same ranks, as they share files
  const std::string& command_line;
  bool json;
  bool launched;  ///< whether a launcher started this process

  /// Rank 0 alone prints.
  [[nodiscard]] bool speaks() const { return communicator.rank() == 0; }
};

/// A subcommand. One file each beside this one, and one line in commands.cpp.
class Command {
 public:
  virtual ~Command() = default;
  /// Adds options to the subcommand's parser; called once.
  virtual void add_options(CLI::App& app) = 0;
  /// Whether --transport makes sense: whether ranks compute anything together. Where they do not,
  /// the first process of a job runs alone.
  [[nodiscard]] virtual bool has_ranks() const { return true; }
  /// What --help prints after the options, given what else is on the command line; mostly nothing.
  /// Throws InputError where it makes no sense.
  [[nodiscard]] virtual std::string more_help() const { return {}; }
  /// Checks options before any rank starts; throws InputError.
  virtual void check() const {}
  /// Runs as one rank; several threads may run it at once. The exit code is the same on all ranks.
  virtual int run(const Context& context) const = 0;
};

}  // namespace annulus::cli
