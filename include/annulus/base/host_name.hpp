#pragma once
// The machine that this process runs on.

#include <string>

namespace annulus {

/// The host's name, as messages and provenance give it; "unknown" where it has none.
[[nodiscard]] std::string host_name();

}  // namespace annulus
