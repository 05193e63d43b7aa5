#include "annulus/device/device.hpp"

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus {

std::string_view name_of(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::cpu:
      return "cpu";
    case DeviceKind::cuda:
      return "cuda";
  }
  broken_invariant("unknown kind of device");
}

DeviceKind parse_device_kind(std::string_view name) {
  for (const auto kind : {DeviceKind::cpu, DeviceKind::cuda}) {
    if (name == name_of(kind)) return kind;
  }
  throw InputError(fmt::format("unknown device '{}'; expected auto, cpu or cuda", name));
}

}  // namespace annulus
