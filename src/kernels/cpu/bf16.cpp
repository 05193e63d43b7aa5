#include "kernels/cpu/bf16.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include <fmt/format.h>

#include "annulus/base/error.hpp"
#include "annulus/kernels/cpu.hpp"
#include "kernels/cpu/tile_check.hpp"
#include "kernels/cpu/tile_functions.hpp"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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

/// Asks the system for the tile registers, which it grants to a process for good, and tries them.
bool has_tile_registers() {
#if defined(__x86_64__) && defined(__linux__)
  constexpr unsigned amx_bf16 = 1U << 22U;
  constexpr unsigned amx_tile = 1U << 24U;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & amx_bf16) == 0 || (edx & amx_tile) == 0) return false;
  // https://docs.kernel.org/arch/x86/xstate.html
  constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long tile_data = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0 &&
         multiplies_as_expected<TileRegisters>();
#else
  return false;
#endif
}

bool machine_has_bf16_tiles() {
  static const bool granted = has_tile_registers();
  return granted && machine_has_bf16_dot();
}

std::string_view wish() {
  const char* value = std::getenv(wish_name);
  return value == nullptr ? "auto" : value;
}

const BFloat16Speeds& speeds() {
  static const auto measured =
      measure_bf16_speeds(machine_has_bf16_dot(), machine_has_bf16_tiles());
  return measured;
}

BFloat16Choice choice() {
  if (!machine_has_bf16_dot()) return choose_bf16(wish(), {});
  static const auto chosen = choose_bf16(wish(), speeds());
  return widened_for_test == 0 ? chosen : BFloat16Choice{};
}

}  // namespace

BFloat16Choice choose_bf16(std::string_view wish, const BFloat16Speeds& speeds) {
  const auto refuse_without = [&](double speed, std::string_view what) {
    if (speed > 0) return;
    throw InputError(fmt::format(
        "{}={}: this machine, or the instruction set in use, has no {}; expected auto{} or widen",
        wish_name, wish, what, speeds.pairs > 0 ? ", dot" : ""));
  };
  const bool pairs = speeds.pairs > 1;
  if (wish == "auto") return {pairs, speeds.tiles > std::max(1.0, speeds.pairs)};
  if (wish == "widen") return {};
  if (wish == "dot") {
    refuse_without(speeds.pairs, "dot products of bf16");
    return {.pairs = true};
  }
  if (wish == "amx") {
    refuse_without(speeds.tiles, "tile registers (AMX-BF16)");
    return {pairs, true};
  }
  throw InputError(fmt::format("{}={}: expected auto, amx, dot or widen", wish_name, wish));
}

bool multiplies_bf16() {
  return choice().pairs;
}

bool multiplies_bf16_tiles() {
  return choice().tiles;
}

std::string bf16_products() {
  const auto [pairs, tiles] = choice();
  const auto* way = pairs ? "dot product" : "widened to fp32";
  if (!machine_has_bf16_dot()) return fmt::format("{}, no dot product here", way);
  auto text = tiles ? fmt::format("tiles, few queries {}", way) : std::string(way);
  if (wish() != "auto") text += fmt::format(" as {} says", wish_name);
  text += fmt::format(", dot products measured at {:.2f} times the speed of fp32", speeds().pairs);
  if (machine_has_bf16_tiles()) text += fmt::format(", tiles at {:.2f}", speeds().tiles);
  return text;
}

WidenedBFloat16ForTest::WidenedBFloat16ForTest() {
  ++widened_for_test;
}
WidenedBFloat16ForTest::~WidenedBFloat16ForTest() {
  --widened_for_test;
}

}  // namespace annulus::kernels
