#pragma once
// The files that this program makes.

#include <string>

#include "results/h5/handle.hpp"

namespace annulus::results::h5 {

// The caller holds the Lock. `subject` serves in messages only. The metadata of these files have
// checksums, and the links of their root are in order of creation. Nobody else opens them while
// they are open here.

/// Makes the file at `path` anew.
[[nodiscard]] Handle create_own_file(const std::string& path, const std::string& subject);
/// Opens it to be read and written.
[[nodiscard]] Handle open_own_file(const std::string& path, const std::string& subject);

}  // namespace annulus::results::h5
