#include "kernels/cpu/bf16.hpp"

#include <atomic>
#include <cstdlib>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/kernels/cpu.hpp"
#include "kernels/cpu/tile_functions.hpp"

namespace annulus::kernels {
namespace {

constexpr auto wish_name = "ANNULUS_BF16";

std::atomic<int> widened_for_test = 0;

bool machine_has_bf16_dot() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0 && target_has_bf16_tiles();
#else
  return false;
#endif
}

std::string_view wish() {
  const char* value = std::getenv(wish_name);
  return value == nullptr ? "auto" : value;
}

double dot_speed() {
  static const double speed = measure_bf16_dot_speed();
  return speed;
}

}  // namespace

bool chooses_bf16_dot(std::string_view wish, double speed) {
  if (wish == "dot") return true;
  if (wish == "widen") return false;
  if (wish == "auto") return speed > 1;
  throw InputError(fmt::format("{}={}: expected auto, dot or widen", wish_name, wish));
}

bool multiplies_bf16() {
  if (!machine_has_bf16_dot()) {
    // Says whether it is one of the three; a machine without dot products has no choice.
    if (chooses_bf16_dot(wish(), 0)) {
      throw InputError(fmt::format(
          "{}=dot: this machine, or the instruction set in use, has no dot products of bf16; "
          "expected auto or widen",
          wish_name));
    }
    return false;
  }
  static const bool chosen = chooses_bf16_dot(wish(), dot_speed());
  return chosen && widened_for_test == 0;
}

std::string bf16_products() {
  const auto* way = multiplies_bf16() ? "dot product" : "widened to fp32";
  if (!machine_has_bf16_dot()) return fmt::format("{}, no dot product here", way);
  return fmt::format("{}{}, dot products measured at {:.2f} times the speed of fp32", way,
                     wish() == "auto" ? "" : fmt::format(" as {} says", wish_name), dot_speed());
}

WidenedBFloat16ForTest::WidenedBFloat16ForTest() {
  ++widened_for_test;
}
WidenedBFloat16ForTest::~WidenedBFloat16ForTest() {
  --widened_for_test;
}

}  // namespace annulus::kernels
