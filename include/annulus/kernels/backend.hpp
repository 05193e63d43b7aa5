#pragma once
// Backends by name.

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "annulus/kernels/kernel.hpp"

namespace annulus::kernels {

/// A backend as it is registered. One folder each in src/kernels, with this in its kernel.cpp, and
/// one line in src/kernels/registry.cpp.
struct Backend {
  std::string_view name;
  std::string_view description;
  DeviceKind device = DeviceKind::cpu;
  /// Whether `auto` may take it: of those that may, on the device that is asked for, the first
  /// registered that supports the type.
  bool automatic = false;
  /// Whether this build has it; null: every build has.
  bool (*built)() = nullptr;
  const Kernel& (*kernel)();

  [[nodiscard]] bool in_this_build() const { return built == nullptr || built(); }
};

/// The registered backends, also those that this build lacks, in the order in which they are listed
/// to users.
[[nodiscard]] std::span<const Backend* const> backends();

/// The names of the backends of this build, or of those of them that compute on `device`.
[[nodiscard]] std::vector<std::string_view> backend_names(std::optional<DeviceKind> device = {});

/// The backend called `name`, or for `auto` the fastest on `device` that supports `type`. Without a
/// device, `auto` is the fastest on the CPU. Throws InputError where there is none of that name in
/// this build, it does not support the type, or it does not compute on `device`.
[[nodiscard]] const Kernel& find_backend(std::string_view name, DataType type,
                                         std::optional<DeviceKind> device = {});

}  // namespace annulus::kernels
