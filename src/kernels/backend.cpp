#include "annulus/kernels/backend.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"

namespace annulus::kernels {

std::vector<std::string_view> backend_names(std::optional<DeviceKind> device) {
  std::vector<std::string_view> names;
  for (const auto* backend : backends()) {
    if (backend->in_this_build() && (!device || backend->device == *device)) {
      names.push_back(backend->name);
    }
  }
  return names;
}

const Kernel& find_backend(std::string_view name, DataType type, std::optional<DeviceKind> device) {
  const bool any = name == "auto";
  const auto wanted = any && !device ? DeviceKind::cpu : device;
  const auto known = backend_names();
  if (!any && std::ranges::find(known, name) == known.end()) {
    throw InputError(
        fmt::format("unknown backend '{}'; this build has auto, {}", name, fmt::join(known, ", ")));
  }
  std::vector<std::string> types;
  for (const auto* backend : backends()) {
    if (!backend->in_this_build() || (any ? !backend->automatic : backend->name != name)) continue;
    if (wanted && backend->device != *wanted) continue;
    const auto& kernel = backend->kernel();
    if (kernel.supports(type)) return kernel;
    for (const auto other :
         {DataType::bfloat16, DataType::float16, DataType::float32, DataType::float64}) {
      const std::string name_of_other(name_of(other));
      if (kernel.supports(other) && std::ranges::find(types, name_of_other) == types.end()) {
        types.push_back(name_of_other);
      }
    }
  }
  if (types.empty()) {
    throw InputError(
        any ? fmt::format("no backend of this build computes on {}", name_of(*wanted))
            : fmt::format("backend '{}' does not compute on {}, which the device asks for", name,
                          name_of(*wanted)));
  }
  throw InputError(fmt::format(
      "{} does not compute in precision {}; expected {}",
      any ? fmt::format("device {}", name_of(*wanted)) : fmt::format("backend '{}'", name),
      name_of(type), fmt::join(types, ", ")));
}

}  // namespace annulus::kernels
