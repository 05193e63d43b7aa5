#include "annulus/device/device.hpp"

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

}  // namespace annulus
