#pragma once
// Whether bf16 is multiplied as it is.

namespace annulus::kernels {

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
