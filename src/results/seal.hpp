#pragma once
// How damage to a results file is found before HDF5 trips over it.
//
// HDF5 checks its metadata by checksums, but for the global heaps, in which texts of variable
// length are: a damaged one makes it crash, or loop. The attribute `texts_checksum` at the root has
// theirs.

#include <string>

#include "results/h5/handle.hpp"
#include "results/posix_file.hpp"

namespace annulus::results {

// The caller holds the Lock.

/// Writes the checksum of its texts, as they are now, into the file at `path`, which is `bytes`.
void seal(const std::string& path, const PosixFile& bytes, const std::string& subject);

/// Opens a sealed file to be read. Throws Error where metadata have no checksums or not the right
/// ones.
[[nodiscard]] h5::Handle open_sealed(const std::string& path, const PosixFile& bytes,
                                     const std::string& subject);

}  // namespace annulus::results
