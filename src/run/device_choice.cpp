#include "annulus/run/device_choice.hpp"

#include <array>
#include <cstddef>
#include <string>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/kernels/cuda_gpus.hpp"

namespace annulus::run {

GpuInSight gpu_in_sight(int place_on_node) {
  const auto gpus = visible_gpus();
  if (gpus.empty()) return GpuInSight::none;
  const auto& own = gpus[static_cast<std::size_t>(place_on_node) % gpus.size()];
  return kernels::cuda_runs_on(own) ? GpuInSight::fit : GpuInSight::unfit;
}

GpusInSight gpus_in_sight(comm::Communicator& communicator, GpuInSight own) {
  std::array<Index, 2> counts{own == GpuInSight::none ? 0 : 1, own == GpuInSight::fit ? 1 : 0};
  communicator.all_reduce(counts, comm::Reduction::sum);
  return {.ranks = communicator.size(), .seen = counts[0], .fit = counts[1]};
}

DeviceChoice choose_device(const GpusInSight& gpus, const DeviceTrial& trial) {
  if (gpus.seen == 0) return {};
  if (gpus.fit < gpus.ranks) {
    const auto ranks = gpus.fit == 0 ? std::string("no rank sees")
                                     : fmt::format("{} of {} ranks see{}", gpus.fit, gpus.ranks,
                                                   gpus.fit == 1 ? "s" : "");
    const auto capability =
        gpus.fit < gpus.seen
            ? fmt::format(" of compute capability {}.0 or later that this build has code for",
                          kernels::least_cuda_major)
            : "";
    return {.reason = fmt::format("{} a GPU{}", ranks, capability)};
  }
  try {
    trial(DeviceKind::cuda);
  } catch (const InputError& error) {
    trial(DeviceKind::cpu);
    return {.reason = error.what()};
  }
  return {.device = DeviceKind::cuda,
          .reason = gpus.ranks == 1 ? "there is a GPU"
                                    : fmt::format("all {} ranks see a GPU", gpus.ranks)};
}

}  // namespace annulus::run
