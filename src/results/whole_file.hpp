#pragma once
// Text files that are there when they are whole.

#include <string>
#include <string_view>

namespace annulus::results {

/// Writes `text` to `path`, whose earlier content is there until then. Throws as Replacement does,
/// in the name of `option`.
void write_whole_file(const std::string& path, std::string_view text,
                      std::string_view option = "--output");

}  // namespace annulus::results
