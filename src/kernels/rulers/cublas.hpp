#pragma once
// Matrix products by cuBLAS, a ruler that everybody knows. Needs no CUDA headers.

#include <memory>
#include <string>

#include "annulus/base/data_type.hpp"
#include "annulus/device/stream.hpp"

namespace annulus::kernels::gpu {

/// cuBLAS on one stream. It is loaded when it is first asked for and not linked, since attention
/// does without it: a program starts, and computes, where there is none.
class Cublas {
 public:
  virtual ~Cublas() = default;

  /// Enqueues c = a b for square matrices of n rows in memory of the device, column-major, of type
  /// bf16, fp16 or fp32. Sums are fp32; fp32 is multiplied as it is, never as tf32 nor as a sum of
  /// shorter numbers. Throws Error where cuBLAS fails.
  virtual void multiply(DataType type, int n, const void* a, const void* b, void* c) = 0;
};

/// Null where cublas_problem() says why.
[[nodiscard]] std::unique_ptr<Cublas> open_cublas(std::shared_ptr<device::Stream> stream);

/// Why there is no cuBLAS: the build has none, or what the loader says. Empty where there is one.
[[nodiscard]] std::string cublas_problem();

/// Such as 13.1.0; empty where there is none.
[[nodiscard]] std::string cublas_version();

}  // namespace annulus::kernels::gpu
