#pragma once
// Backends by name.

#include <string_view>
#include <vector>

#include "annulus/kernels/kernel.hpp"

namespace annulus::kernels {

/// The backends of this build.
[[nodiscard]] std::vector<std::string_view> backend_names();

/// The backend called `name`, or for `auto` the fastest that supports `type`. Throws InputError
/// where there is none of that name in this build or it does not support the type.
[[nodiscard]] const Kernel& find_backend(std::string_view name, DataType type);

}  // namespace annulus::kernels
