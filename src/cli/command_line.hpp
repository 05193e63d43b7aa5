#pragma once
// The command line as a user would type it again.

#include <string>

namespace annulus::cli {

/// The arguments joined by spaces; those that a shell would take apart are quoted.
[[nodiscard]] std::string command_line(int argc, char** argv);

}  // namespace annulus::cli
