#pragma once
// The GPUs that kernels run on, and what of the code for GPUs has run on one.

#include <span>
#include <string>
#include <string_view>

#include "annulus/device/device.hpp"

namespace annulus::kernels {

/// The least compute capability that kernels need: this one, .0.
inline constexpr int least_cuda_major = 8;

/// What kernels of this build are compiled for, in the words of CMAKE_CUDA_ARCHITECTURES:
/// "80-real 90-real 80-virtual". Empty in a build without CUDA.
[[nodiscard]] std::string_view cuda_architectures();

/// Whether code that is compiled for `architectures`, apart by spaces or semicolons, runs on a GPU:
/// that of a real one on the same major capability from its minor one on, PTX on every later
/// capability, what has an "a" on that capability alone, and what has an "f" on that and later ones
/// of the same major one. "native", "all" and "all-major" are taken to have what is needed.
[[nodiscard]] bool has_cuda_code(std::string_view architectures, const GpuProperties& gpu);

/// Whether kernels of this build run on it.
[[nodiscard]] bool cuda_runs_on(const GpuProperties& gpu);

/// Why what is asked for does not run on it: kernels of `architectures`, or of the `instructions`
/// that cuda_instructions() names. Empty where it does.
[[nodiscard]] std::string cuda_problem(const GpuProperties& gpu, std::string_view architectures,
                                       std::string_view instructions);
/// The same of this build and of what the environment asks for.
[[nodiscard]] std::string cuda_problem(const GpuProperties& gpu);

/// A part of the code for GPUs, and the last time that it ran on one.
struct GpuTrial {
  std::string_view part;
  std::string_view gpu;      ///< empty: on none
  std::string_view date;     ///< as in 2026-11-27; empty where it never ran
  std::string_view outcome;  ///< in words
};

/// All parts. What has changed since a trial, its outcome says.
[[nodiscard]] std::span<const GpuTrial> gpu_trials();

}  // namespace annulus::kernels
