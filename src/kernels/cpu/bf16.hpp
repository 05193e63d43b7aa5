#pragma once
// Whether bf16 is multiplied as it is.

#include <string_view>

namespace annulus::kernels {

/// How many times the FLOP/s of fp32 multiply-adds the dot products of bf16 make, on one thread and
/// measured in some 2 ms. Only where the machine and the instruction set in use have them.
[[nodiscard]] double measure_bf16_dot_speed();

/// Whether a machine with dot products of such a speed uses them: `wish` is `auto`, where the
/// faster way counts, `dot` or `widen`. Throws InputError for anything else.
[[nodiscard]] bool chooses_bf16_dot(std::string_view wish, double speed);

/// While one of these lives, bf16 inputs are widened to fp32 as where the CPU has no dot product of
/// them: tests run both ways on one machine.
class WidenedBFloat16ForTest {
 public:
  WidenedBFloat16ForTest();
  ~WidenedBFloat16ForTest();
  WidenedBFloat16ForTest(const WidenedBFloat16ForTest&) = delete;
  WidenedBFloat16ForTest& operator=(const WidenedBFloat16ForTest&) = delete;
};

}  // namespace annulus::kernels
