#pragma once
// HDF5 files that live in memory, and their images.

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "results/h5/handle.hpp"

namespace annulus::results::h5 {

// The caller holds the Lock. `name` serves in messages only.

/// An empty file, its root's links in order of creation.
[[nodiscard]] Handle create_memory_file(const std::string& name);

/// The file of which `image` holds the bytes, to be read and written; `image` is copied.
[[nodiscard]] Handle open_memory_file(const std::string& name, std::span<const std::byte> image);

/// The bytes of the file as it is now.
[[nodiscard]] std::vector<std::byte> image_of(const Handle& file, const std::string& name);

}  // namespace annulus::results::h5
