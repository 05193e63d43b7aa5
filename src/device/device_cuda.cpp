#include <cuda_runtime_api.h>
#include <fmt/format.h>
#if ANNULUS_HAVE_NCCL
#include <nccl.h>
#endif

#include "annulus/base/error.hpp"
#include "annulus/device/device.hpp"

namespace annulus {
namespace {

void check(cudaError_t code, const char* call) {
  if (code == cudaSuccess) return;
  throw Error(
      fmt::format("{} failed: {}: {}", call, cudaGetErrorName(code), cudaGetErrorString(code)));
}

}  // namespace

std::vector<GpuProperties> visible_gpus() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    // No driver, one older than the runtime, or no GPU: the process computes without one. The
    // runtime keeps the code for the next call that asks, which must not take it for its own.
    static_cast<void>(cudaGetLastError());
    return {};
  }
  std::vector<GpuProperties> gpus;
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties");
    gpus.push_back({.name = properties.name,
                    .memory_bytes = properties.totalGlobalMem,
                    .compute_major = properties.major,
                    .compute_minor = properties.minor});
  }
  return gpus;
}

std::string cuda_runtime_version() {
  int version = 0;
  check(cudaRuntimeGetVersion(&version), "cudaRuntimeGetVersion");
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::string nccl_version() {
#if ANNULUS_HAVE_NCCL
  return fmt::format("{}.{}.{}", NCCL_MAJOR, NCCL_MINOR, NCCL_PATCH);
#else
  return {};
#endif
}

}  // namespace annulus
