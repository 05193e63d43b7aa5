#include "device/cuda_check.hpp"

#include <fmt/format.h>

#include "annulus/base/error.hpp"

namespace annulus::device {

void check_cuda(cudaError_t code, const char* call, std::source_location location) {
  if (code == cudaSuccess) return;
  // The runtime keeps a code for the next call that asks, which must not take it for its own.
  static_cast<void>(cudaGetLastError());
  throw Error(
      fmt::format("{} failed: {}: {}", call, cudaGetErrorName(code), cudaGetErrorString(code)),
      location);
}

}  // namespace annulus::device
