#pragma once
// The HDF5 library that this build reads and writes with.

#include <string>

namespace annulus::results {

/// Its version, such as 1.10.8; empty in builds without HDF5.
[[nodiscard]] std::string hdf5_version();

}  // namespace annulus::results
