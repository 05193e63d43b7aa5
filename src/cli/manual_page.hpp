#pragma once
// The manual page, made of what --help prints on every level.

#include <functional>
#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace annulus::cli {

/// A page for man(1), in troff, of `app` and all that is under it; `version` is that of the
/// program. `more_help` is what a command's --help prints after its options.
[[nodiscard]] std::string manual_page(const CLI::App& app, std::string_view version,
                                      const std::function<std::string(const CLI::App&)>& more_help);

}  // namespace annulus::cli
