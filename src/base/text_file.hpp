#pragma once
// Files of text.

#include <optional>
#include <string>

namespace annulus {

/// What a file says; none where `path` is no regular file (a pipe would be waited for), or cannot
/// be read.
[[nodiscard]] std::optional<std::string> text_of_file(const std::string& path);

}  // namespace annulus
