#pragma once
// How bf16 is multiplied.

#include <string_view>

namespace annulus::kernels {

/// How many times the FLOP/s of fp32 multiply-adds products of bf16 make; 0 where the machine, or
/// the instruction set in use, does not have them.
struct BFloat16Speeds {
  double pairs = 0;  ///< dot products of pairs (AVX512_BF16)
  double tiles = 0;  ///< products of tiles (AMX-BF16)
};

/// Measures on one thread, in some 3 ms, those that the machine has.
[[nodiscard]] BFloat16Speeds measure_bf16_speeds(bool pairs, bool tiles);

/// What is multiplied as it is.
struct BFloat16Choice {
  bool pairs = false;
  bool tiles = false;  ///< in place of pairs, but for few queries of forward passes
};

/// `wish` is `auto`, where the faster way counts, or `widen`, `dot` or `amx`. Throws InputError for
/// anything else, and for what the machine does not have.
[[nodiscard]] BFloat16Choice choose_bf16(std::string_view wish, const BFloat16Speeds& speeds);

/// While one of these lives, bf16 inputs are widened to fp32 as where the CPU has no products of
/// them: tests run both ways on one machine.
class WidenedBFloat16ForTest {
 public:
  WidenedBFloat16ForTest();
  ~WidenedBFloat16ForTest();
  WidenedBFloat16ForTest(const WidenedBFloat16ForTest&) = delete;
  WidenedBFloat16ForTest& operator=(const WidenedBFloat16ForTest&) = delete;
};

}  // namespace annulus::kernels
