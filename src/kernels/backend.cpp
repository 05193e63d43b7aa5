#include "annulus/kernels/backend.hpp"

#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "annulus/base/error.hpp"
#include "annulus/kernels/cpu.hpp"
#include "annulus/kernels/reference.hpp"

namespace annulus::kernels {
namespace {

// Fastest first: `auto` takes the first that supports the type. A new backend is one line here.
constexpr std::array<const Kernel& (*)(), 2> backends{cpu, reference};

}  // namespace

std::vector<std::string_view> backend_names() {
  std::vector<std::string_view> names;
  for (const auto backend : backends) names.push_back(backend().name());
  return names;
}

const Kernel& find_backend(std::string_view name, DataType type) {
  bool known = name == "auto";
  for (const auto backend : backends) {
    const auto& kernel = backend();
    if (name != "auto" && name != kernel.name()) continue;
    if (kernel.supports(type)) return kernel;
    known = true;
  }
  if (!known) {
    throw InputError(fmt::format("backend '{}' is not in this build; expected auto, {}", name,
                                 fmt::join(backend_names(), ", ")));
  }
  throw InputError(fmt::format(
      "backend '{}' does not compute in precision {}; expected fp32 or fp64", name, name_of(type)));
}

}  // namespace annulus::kernels
