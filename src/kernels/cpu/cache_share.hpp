#pragma once
// How much of the caches of this machine a thread may count on.

#include <filesystem>
#include <limits>

#include "annulus/base/index.hpp"

namespace annulus::kernels {

inline constexpr int last_level = std::numeric_limits<int>::max();

/// Bytes of the cache of a core at level `level`, or the last one below it, shared out over all the
/// cores that share it; 0 where the system does not say. `caches` is what Linux says of the caches
/// of one core, a folder index0, index1, ... for each.
[[nodiscard]] Index cache_share(const std::filesystem::path& caches, int level = last_level);

/// The same of the first core of this machine, which is asked once.
[[nodiscard]] Index last_cache_share();
[[nodiscard]] Index second_cache_share();

}  // namespace annulus::kernels
