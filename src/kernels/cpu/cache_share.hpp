#pragma once
// How much of the caches of this machine a thread may count on.

#include <filesystem>

#include "annulus/base/index.hpp"

namespace annulus::kernels {

/// Bytes of the last-level cache of a core, shared out over all the cores that share it; 0 where
/// the system does not say. `caches` is what Linux says of the caches of one core, a folder index0,
/// index1, ... for each.
[[nodiscard]] Index cache_share(const std::filesystem::path& caches);

/// The same of the first core of this machine, which is asked once.
[[nodiscard]] Index cache_share();

}  // namespace annulus::kernels
