#pragma once
// How a kernel starts on the current device.

#include <cuda_runtime.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "annulus/base/error.hpp"
#include "annulus/kernels/cuda_gpus.hpp"
#include "device/cuda_check.hpp"
#include "kernels/cuda/device/dispatch.hpp"

namespace annulus::kernels::gpu {

using device::check_cuda;

/// A kernel whose threads hand registers to one another.
template <class Kernel>
concept HandsOverRegisters = requires {
  Kernel::registers;
};

/// The compiler is then told how many they begin with: those of a multiprocessor that has one
/// block. For others 0, which says nothing.
template <class Kernel>
inline constexpr int least_blocks = HandsOverRegisters<Kernel> ? 1 : 0;

template <class Kernel>
__global__ void __launch_bounds__(Kernel::threads, least_blocks<Kernel>)
    entry(const __grid_constant__ typename Kernel::Arguments arguments) {
  Kernel::run(arguments);
}

[[nodiscard]] inline int attribute_of_device(cudaDeviceAttr attribute) {
  int device = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  int value = 0;
  check_cuda(cudaDeviceGetAttribute(&value, attribute, device), "cudaDeviceGetAttribute");
  return value;
}

/// Throws InputError where the current device has less than the kernels need.
inline void check_device(int shared_bytes) {
  const int major = attribute_of_device(cudaDevAttrComputeCapabilityMajor);
  if (major < least_cuda_major) {
    throw InputError("the cuda backend needs compute capability " +
                     std::to_string(least_cuda_major) + ".0 or later, this GPU has " +
                     std::to_string(major) + "." +
                     std::to_string(attribute_of_device(cudaDevAttrComputeCapabilityMinor)));
  }
  const int most = attribute_of_device(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  if (shared_bytes > most) {
    throw InputError("this kernel needs " + std::to_string(shared_bytes) +
                     " bytes of shared memory, this GPU has " + std::to_string(most));
  }
}

/// Asks for the shared memory that a kernel needs on the current device.
template <class Kernel>
void ask_for_shared_memory() {
  check_device(Kernel::shared_bytes);
  const auto set = [](cudaFuncAttribute attribute, int value) {
    check_cuda(cudaFuncSetAttribute(entry<Kernel>, attribute, value), "cudaFuncSetAttribute");
  };
  // More than 48 KiB must be asked for. What a block has must not keep another one off the
  // multiprocessor while its first-level cache has the memory for it.
  set(cudaFuncAttributeMaxDynamicSharedMemorySize, Kernel::shared_bytes);
  if (Kernel::shared_bytes > 0) {
    set(cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared);
  }
}

/// The same once for each device, as a launch takes little longer than asking: `device` is the
/// current one.
template <class Kernel>
void ask_once_for_shared_memory(int device) {
  static std::atomic<std::uint64_t> asked = 0;
  const auto bit = std::uint64_t{1} << device % 64;
  if (device < 64 && (asked & bit) != 0) return;
  ask_for_shared_memory<Kernel>();
  asked |= bit;
}

/// Thread blocks that a multiprocessor of the current device runs at once.
template <class Kernel>
[[nodiscard]] int blocks_of_multiprocessor() {
  ask_for_shared_memory<Kernel>();
  int blocks = 0;
  check_cuda(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, entry<Kernel>, Kernel::threads,
                                                           Kernel::shared_bytes),
             "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return blocks;
}

/// Starts kernels on a stream.
struct LaunchOn {
  Stream& stream;

  template <class Kernel>
  void operator()(int blocks_x, int blocks_y, const typename Kernel::Arguments& arguments) const {
    if (blocks_x == 0 || blocks_y == 0) return;
    ensure(blocks_y <= 65535, "a GPU kernel has at most 65535 heads");
    const auto queue = static_cast<cudaStream_t>(stream.handle());  // makes its device current
    ask_once_for_shared_memory<Kernel>(stream.device().index);
    const dim3 grid(static_cast<unsigned>(blocks_x), static_cast<unsigned>(blocks_y));
    entry<Kernel><<<grid, Kernel::threads, Kernel::shared_bytes, queue>>>(arguments);
    check_cuda(cudaGetLastError(), "the launch of a kernel");
  }
};

}  // namespace annulus::kernels::gpu
