#pragma once
// What --device auto is.

#include <functional>
#include <string>

#include "annulus/comm/communicator.hpp"
#include "annulus/device/device.hpp"

namespace annulus::run {

/// What a rank sees of the GPU that it would compute on.
enum class GpuInSight {
  none,
  unfit,  ///< one that kernels do not run on
  fit,
};

/// What this process sees, as the rank with this place on its node.
[[nodiscard]] GpuInSight gpu_in_sight(int place_on_node);

/// How many ranks there are, and of them those that see some GPU, and one that kernels run on.
struct GpusInSight {
  Index ranks = 0;
  Index seen = 0;
  Index fit = 0;
};

/// Collective. `own` is what this rank sees.
[[nodiscard]] GpusInSight gpus_in_sight(comm::Communicator& communicator, GpuInSight own);

struct DeviceChoice {
  DeviceKind device = DeviceKind::cpu;
  std::string reason{};  ///< in words; empty where no rank sees a GPU, as there is no choice
};

/// Throws InputError where what else was asked for cannot be honoured on a device.
using DeviceTrial = std::function<void(DeviceKind device)>;

/// GPUs, where every rank has one that kernels run on and `trial` finds nothing wrong with them;
/// else the CPU. Throws what `trial` throws on the CPU where it is tried there: what is wrong on
/// any device is no reason to take another.
[[nodiscard]] DeviceChoice choose_device(const GpusInSight& gpus, const DeviceTrial& trial);

}  // namespace annulus::run
