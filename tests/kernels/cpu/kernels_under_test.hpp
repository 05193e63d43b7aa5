#pragma once
// The cpu kernels with every instruction set that this machine has.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cpu/simd_targets.hpp"

#include <hwy/highway.h>

#include "annulus/kernels/cpu.hpp"
#include "kernels/kernel_suite.hpp"

namespace annulus::test {

/// The instruction sets that this machine can run, the scalar fallback among them.
[[nodiscard]] inline std::vector<std::int64_t> runnable_targets() {
  auto targets = hwy::SupportedAndGeneratedTargets();
  if (targets.back() != HWY_STATIC_TARGET) targets.push_back(HWY_STATIC_TARGET);
  return targets;
}

/// Whether it has pairs of bf16, in the instruction set in use.
[[nodiscard]] inline bool machine_has_bf16_pairs() {
#if HWY_ARCH_X86_64
  constexpr std::int64_t wide = 2 * HWY_AVX3 - 1;  // AVX3 and what is better
  return (hwy::SupportedTargets() & HWY_TARGETS & wide) != 0 &&
         __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

/// The cpu kernel, with this instruction set as long as it is held.
[[nodiscard]] inline std::shared_ptr<const kernels::Kernel> cpu_with(std::int64_t target) {
  hwy::SetSupportedTargetsForTest(target);
  EXPECT_EQ(kernels::simd_target(), hwy::TargetName(target));
  return {&kernels::cpu(), [](const auto*) { hwy::SetSupportedTargetsForTest(0); }};
}

[[nodiscard]] inline std::vector<KernelUnderTest> cpu_kernels() {
  const std::vector types{DataType::float64, DataType::float32, DataType::bfloat16};
  std::vector<KernelUnderTest> kernels;
  for (const auto target : runnable_targets()) {
    kernels.push_back(
        {.name = hwy::TargetName(target),
         .open = [target] { return cpu_with(target); },
         .types = types,
         .types_of_many = types,
         .head_dims = {1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 64, 65, 96, 127, 128, 129, 255, 256},
         .value_dims = {1, 2, 3, 4, 6, 9, 15, 24, 33, 47, 48, 63, 80, 97, 112, 1031},
         .lengths = {1, 2, 5, 6, 7, 47, 48, 49, 95, 96, 97, 191, 193, 383, 385}});
  }
  return kernels;
}

}  // namespace annulus::test
