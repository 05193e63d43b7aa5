#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/device/device.hpp"
#include "annulus/device/stream.hpp"
#include "device/cuda_check.hpp"
#include "device/cuda_stream.hpp"

namespace annulus {
namespace {

/// How many GPUs there are, and what CUDA says where it finds none.
struct Count {
  int gpus = 0;
  std::string problem{};
};

Count count_gpus() {
  Count count;
  const auto code = cudaGetDeviceCount(&count.gpus);
  if (code != cudaSuccess) {
    // No driver, one older than the runtime, or no GPU: the process computes without one. The
    // runtime keeps the code for the next call that asks, which must not take it for its own.
    static_cast<void>(cudaGetLastError());
    return {0, cudaGetErrorString(code)};
  }
  if (count.gpus == 0) count.problem = "CUDA finds no GPU";
  return count;
}

}  // namespace

std::vector<GpuProperties> visible_gpus() {
  const int count = count_gpus().gpus;
  std::vector<GpuProperties> gpus;
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties{};
    device::check_cuda(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
    gpus.push_back({.name = properties.name,
                    .memory_bytes = properties.totalGlobalMem,
                    .compute_major = properties.major,
                    .compute_minor = properties.minor,
                    .address = fmt::format("{:04x}:{:02x}:{:02x}", properties.pciDomainID,
                                           properties.pciBusID, properties.pciDeviceID)});
  }
  return gpus;
}

std::string gpu_problem() {
  return count_gpus().problem;
}

std::string cuda_runtime_version() {
  int version = 0;
  device::check_cuda(cudaRuntimeGetVersion(&version), "cudaRuntimeGetVersion");
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

namespace device {

std::shared_ptr<Stream> open_stream(Device device) {
  if (device.kind == DeviceKind::cpu) return cpu_stream();
  const auto [gpus, problem] = count_gpus();
  if (!problem.empty()) throw InputError(fmt::format("device cuda: {}", problem));
  if (device.index < 0 || device.index >= gpus) {
    throw InputError(
        fmt::format("device cuda: there is no GPU {}; expected 0 to {}", device.index, gpus - 1));
  }
  return std::make_shared<CudaStream>(device);
}

}  // namespace device
}  // namespace annulus
