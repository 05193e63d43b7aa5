#include "kernels/cpu/bf16.hpp"

#include <atomic>

#include "annulus/kernels/cpu.hpp"
#include "kernels/cpu/tile_functions.hpp"

namespace annulus::kernels {
namespace {

std::atomic<int> widened_for_test = 0;

bool machine_has_bf16_dot() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

}  // namespace

bool multiplies_bf16() {
  return machine_has_bf16_dot() && target_has_bf16_tiles() && widened_for_test == 0;
}

WidenedBFloat16ForTest::WidenedBFloat16ForTest() {
  ++widened_for_test;
}
WidenedBFloat16ForTest::~WidenedBFloat16ForTest() {
  --widened_for_test;
}

}  // namespace annulus::kernels
