#include "annulus/kernels/backend.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/build.hpp"
#include "annulus/base/error.hpp"
#include "annulus/kernels/cpu.hpp"
#include "annulus/kernels/cuda.hpp"
#include "annulus/kernels/cudnn.hpp"
#include "annulus/kernels/reference.hpp"

namespace annulus::kernels {
namespace {

// Fastest first: `auto` takes the first that supports the type. A new backend is one line here.
constexpr std::array<const Kernel& (*)(), 2> on_cpu{cpu, reference};
constexpr std::array<const Kernel& (*)(), 1> on_gpu{cuda};

/// The backends of this build.
std::vector<const Kernel*> backends() {
  std::vector<const Kernel*> all;
  for (const auto backend : on_cpu) all.push_back(&backend());
  if (build_features().cuda) {
    for (const auto backend : on_gpu) all.push_back(&backend());
  }
  if (build_features().cudnn) all.push_back(&cudnn());  // `auto` has taken cuda, which is there too
  return all;
}

}  // namespace

std::vector<std::string_view> backend_names(std::optional<DeviceKind> device) {
  std::vector<std::string_view> names;
  for (const auto* backend : backends()) {
    if (!device || backend->device() == *device) names.push_back(backend->name());
  }
  return names;
}

const Kernel& find_backend(std::string_view name, DataType type, std::optional<DeviceKind> device) {
  const bool any = name == "auto";
  const auto wanted = any && !device ? DeviceKind::cpu : device;
  const auto all = backends();
  if (!any && std::ranges::find(all, name, &Kernel::name) == all.end()) {
    throw InputError(fmt::format("unknown backend '{}'; this build has auto, {}", name,
                                 fmt::join(backend_names(), ", ")));
  }
  std::vector<std::string> types;
  for (const auto* backend : all) {
    if (!any && backend->name() != name) continue;
    if (wanted && backend->device() != *wanted) continue;
    if (backend->supports(type)) return *backend;
    for (const auto other :
         {DataType::bfloat16, DataType::float16, DataType::float32, DataType::float64}) {
      const std::string name_of_other(name_of(other));
      if (backend->supports(other) && std::ranges::find(types, name_of_other) == types.end()) {
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
