// A build without CUDA.
#include "annulus/base/error.hpp"
#include "annulus/device/device.hpp"
#include "annulus/device/stream.hpp"

namespace annulus {

std::vector<GpuProperties> visible_gpus() {
  return {};
}

std::string gpu_problem() {
  return "this build has no CUDA";
}

std::string cuda_runtime_version() {
  return {};
}

namespace device {

std::shared_ptr<Stream> open_stream(Device device) {
  if (device.kind == DeviceKind::cpu) return cpu_stream();
  throw InputError("device cuda: " + gpu_problem());
}

}  // namespace device
}  // namespace annulus
