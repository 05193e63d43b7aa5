#pragma once
// Whether two configs say the same, key by key.

#include <string>

namespace annulus::results {

/// Compares two TOML texts. Empty where they hold the same keys with the same values; otherwise
/// one phrase for each top-level key that differs, with the first value that differs in it:
/// "gamma[3] is 0.5 there and 0.6 here, seed is 1 there and absent here". Throws Error where a
/// text is not TOML.
[[nodiscard]] std::string config_difference(const std::string& there, const std::string& here);

}  // namespace annulus::results
