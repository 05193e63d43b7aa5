// A build without CUDA.
#include "annulus/device/device.hpp"

namespace annulus {

std::vector<GpuProperties> visible_gpus() {
  return {};
}

std::string cuda_runtime_version() {
  return {};
}

std::string nccl_version() {
  return {};
}

}  // namespace annulus
