#pragma once
// Where a rank computes.

#include <string>
#include <string_view>
#include <vector>

namespace annulus {

enum class DeviceKind { cpu, cuda };

/// A place to compute: the CPU cores of the rank, or one of its GPUs.
struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;  ///< of the GPU, as CUDA counts them

  [[nodiscard]] static constexpr Device cpu() { return {}; }
  [[nodiscard]] static constexpr Device cuda(int index = 0) { return {DeviceKind::cuda, index}; }
};

[[nodiscard]] std::string_view name_of(DeviceKind kind);
/// The inverse of name_of; throws InputError with the names that an option takes.
[[nodiscard]] DeviceKind parse_device_kind(std::string_view name);

/// What the driver says of one GPU.
struct GpuProperties {
  std::string name;
  std::size_t memory_bytes = 0;
  int compute_major = 0;
  int compute_minor = 0;
  std::string address;  ///< on the PCI bus, by which the GPUs of a host differ
};

/// The GPUs that this process can use; none in a build without CUDA or without a driver.
[[nodiscard]] std::vector<GpuProperties> visible_gpus();

/// Why there are none: what CUDA says, or that the build has no CUDA. Empty where there are some.
[[nodiscard]] std::string gpu_problem();

/// The CUDA runtime that the build links: "13.0"; empty where it has none.
[[nodiscard]] std::string cuda_runtime_version();

}  // namespace annulus
