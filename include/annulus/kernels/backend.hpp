#pragma once
// Backends by name.

#include <optional>
#include <string_view>
#include <vector>

#include "annulus/kernels/kernel.hpp"

namespace annulus::kernels {

/// The backends of this build, or those of them that compute on `device`.
[[nodiscard]] std::vector<std::string_view> backend_names(std::optional<DeviceKind> device = {});

/// The backend called `name`, or for `auto` the fastest on `device` that supports `type`. Without a
/// device, `auto` is the fastest on the CPU. Throws InputError where there is none of that name in
/// this build, it does not support the type, or it does not compute on `device`.
[[nodiscard]] const Kernel& find_backend(std::string_view name, DataType type,
                                         std::optional<DeviceKind> device = {});

}  // namespace annulus::kernels
