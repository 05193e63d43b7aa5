#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>

#include <fmt/format.h>

#include "annulus/kernels/cuda.hpp"
#include "annulus/kernels/cuda_gpus.hpp"

namespace annulus::kernels {
namespace {

/// The code of one architecture: "90", "90a-real" or "90-virtual".
bool has_code_of(std::string_view architecture, const GpuProperties& gpu) {
  int number = 0;
  const auto* end = architecture.data() + architecture.size();
  const auto rest = std::from_chars(architecture.data(), end, number);
  if (rest.ec != std::errc()) return true;  // "native", "all", "all-major"
  const std::string_view kind(rest.ptr, static_cast<std::size_t>(end - rest.ptr));
  const int own = 10 * gpu.compute_major + gpu.compute_minor;
  if (kind.starts_with('a')) return own == number;
  if (kind.starts_with('f')) return own / 10 == number / 10 && own >= number;
  const bool is_code = !kind.ends_with("-virtual") && own / 10 == number / 10 && own >= number;
  const bool is_ptx = !kind.ends_with("-real") && own >= number;
  return is_code || is_ptx;
}

/// Calls act(architecture) for each of `architectures`, until it says true; whether one did.
template <class Act>
bool any_architecture(std::string_view architectures, Act act) {
  while (!architectures.empty()) {
    const auto end = std::min(architectures.find_first_of("; "), architectures.size());
    if (act(architectures.substr(0, end))) return true;
    architectures.remove_prefix(std::min(end + 1, architectures.size()));
  }
  return false;
}

/// Whether the kernels for compute capability 9.0 are compiled, as src/kernels/CMakeLists.txt
/// decides.
bool has_hopper_code(std::string_view architectures) {
  return any_architecture(architectures, [](std::string_view one) {
    return one == "90" || one == "90a" || one.starts_with("90-") || one.starts_with("90a-");
  });
}

constexpr std::string_view h200 = "NVIDIA H200";
constexpr std::string_view first_day = "2026-11-27";
constexpr std::array trials{
    GpuTrial{"mma kernels, forward and two of gradients", h200, first_day,
             "53 of 53 tests, 9 of 9 runs of verify; made anew since"},
    GpuTrial{"mma kernel of all gradients", "", "", ""},
    GpuTrial{"hopper kernels", "", "", ""},
    GpuTrial{"decode", "", "", ""},
    GpuTrial{"cudnn, forward", h200, first_day, "results right; outputs written another way since"},
    GpuTrial{"cudnn, backward", "", "", ""},
    GpuTrial{"ranks as threads on one GPU, schedule ring", h200, first_day,
             "tests passed; 1.06 forward and 1.32 backward of the time of one rank"},
    GpuTrial{"other schedules", "", "", ""},
    GpuTrial{"nccl", "", "", ""},
    GpuTrial{"mpi between GPUs", "", "", ""},
};

}  // namespace

std::string_view cuda_architectures() {
  return ANNULUS_CUDA_CODE;
}

bool has_cuda_code(std::string_view architectures, const GpuProperties& gpu) {
  return any_architecture(architectures,
                          [&](std::string_view one) { return has_code_of(one, gpu); });
}

bool cuda_runs_on(const GpuProperties& gpu) {
  return cuda_problem(gpu, cuda_architectures(), "").empty();
}

std::string cuda_problem(const GpuProperties& gpu, std::string_view architectures,
                         std::string_view instructions) {
  const auto capability = fmt::format("{}.{}", gpu.compute_major, gpu.compute_minor);
  if (gpu.compute_major < least_cuda_major) {
    return fmt::format("compute capability {}; kernels need {}.0 or later", capability,
                       least_cuda_major);
  }
  if (!has_cuda_code(architectures, gpu)) {
    return fmt::format(
        "compute capability {}; this build has code for {}, see "
        "ANNULUS_CUDA_ARCHITECTURES",
        capability, architectures);
  }
  if (instructions == "hopper" && (gpu.compute_major != 9 || gpu.compute_minor != 0)) {
    return fmt::format("compute capability {}; ANNULUS_CUDA=hopper needs 9.0, mma runs here",
                       capability);
  }
  if (instructions == "hopper" && !has_hopper_code(architectures)) {
    return fmt::format(
        "ANNULUS_CUDA=hopper: this build has code for {}; these kernels need 90 in "
        "ANNULUS_CUDA_ARCHITECTURES",
        architectures);
  }
  return "";
}

std::string cuda_problem(const GpuProperties& gpu) {
  return cuda_problem(gpu, cuda_architectures(), cuda_instructions());
}

std::span<const GpuTrial> gpu_trials() {
  return trials;
}

}  // namespace annulus::kernels
