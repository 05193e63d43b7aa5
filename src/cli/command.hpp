#pragma once
// What a subcommand is: options that it adds to the parser, and a body that runs as one rank.

#include <string>

#include "annulus/comm/communicator.hpp"

namespace CLI {
class App;
}

namespace annulus::run {
class Process;
}

namespace annulus::cli {

/// What every body is given.
struct Context {
  comm::Communicator& communicator;
  comm::Communicator& files;  ///< the same ranks, as they share files
  run::Process& process;
  const std::string& command_line;
  bool json;

  /// Rank 0 alone prints.
  [[nodiscard]] bool speaks() const { return communicator.rank() == 0; }
};

/// A subcommand. One file each beside this one, and one line in commands.cpp.
class Command {
 public:
  virtual ~Command() = default;
  /// Adds options to the subcommand's parser; called once.
  virtual void add_options(CLI::App& app) = 0;
  /// Whether --transport makes sense: whether ranks compute anything together.
  [[nodiscard]] virtual bool has_ranks() const { return true; }
  /// Checks options before any rank starts; throws InputError.
  virtual void check() const {}
  /// Runs as one rank; several threads may run it at once. The exit code is the same on all ranks.
  virtual int run(const Context& context) const = 0;
};

}  // namespace annulus::cli
