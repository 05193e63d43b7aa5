#pragma once
// Machines as TOML files.

#include <string>
#include <string_view>

#include "annulus/plan/machine.hpp"

namespace annulus::measure {

/// The machine that `text` describes; see docs/machines.md. `source` begins the messages of the
/// InputError for what is missing, unknown or out of range.
[[nodiscard]] Machine parse_machine(std::string_view text, const std::string& source);

/// The inverse of it.
[[nodiscard]] std::string machine_text(const Machine& machine);

}  // namespace annulus::measure
